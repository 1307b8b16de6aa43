"""A `torch.export` archive is read as text before torch is given any of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.torch_export.archive import OPERATORS, SAMPLE_INPUTS, read_archive
from tests.formats.torchscript.hostile_archives import Members, members, packed

GRAPH = "archive/models/model.json"
WEIGHTS = "archive/data/weights/model_weights_config.json"
CONSTANTS = "archive/data/constants/model_constants_config.json"


@pytest.fixture(scope="module")
def good(exported: list[Artifact]) -> bytes:
    (artifact,) = [a for a in exported if a.format == "torch-export"]
    return artifact.path.read_bytes()


def in_graph(change: Callable[[dict[str, Any]], object]) -> Callable[[Members], Members]:
    def changed(found: Members) -> Members:
        model = json.loads(found[GRAPH])
        change(model)
        return {**found, GRAPH: json.dumps(model).encode()}

    return changed


def nodes(model: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = model["graph_module"]["graph"]["nodes"]
    return found


HOSTILE: dict[str, Callable[[Members], Members]] = {
    "an operator that writes": in_graph(lambda model: nodes(model)[0].update(target="torch.ops.aten.save.default")),
    "an operator of another library": in_graph(lambda model: nodes(model)[0].update(target="os.system")),
    "code in its guards": in_graph(lambda model: model.update(guards_code=["__import__('os').system('true')"])),
    "an expression": in_graph(
        lambda model: model["graph_module"].update(evil={"expr_str": "__import__('os').system('true')"})
    ),
    "an object": in_graph(lambda model: model["graph_module"]["graph"].update(custom_obj_values={"x": {}})),
    "a pickled weight": lambda found: {
        **found,
        WEIGHTS: found[WEIGHTS].replace(b'"use_pickle": false', b'"use_pickle": true', 1),
    },
    "a constant": lambda found: {
        **found,
        CONSTANTS: b'{"config": {"x": {"path_name": "custom_obj_0"}}}',
    },
    "a constant that is unpickled by its name": lambda found: {
        **found,
        CONSTANTS: b'{"config": {"x": {"path_name": "opaque_obj_0", "use_pickle": false}}}',
    },
    "a constant in another folder": lambda found: {
        **found,
        CONSTANTS: b'{"config": {"x": {"path_name": "tensor_0/../../weights/weight_0", "use_pickle": false}}}',
    },
    "a pickled constant": lambda found: {
        **found,
        CONSTANTS: b'{"config": {"x": {"path_name": "tensor_0", "use_pickle": true}}}',
        "archive/data/constants/tensor_0": b"cos\nsystem\n(S'true'\ntR.",
    },
    "constants in a list": lambda found: {**found, CONSTANTS: b'{"config": []}'},
    "an object among the constants": lambda found: {**found, "archive/data/constants/custom_obj_0": b"N."},
    "an operator that is a list": in_graph(lambda model: nodes(model)[0].update(target=[])),
    "a weight that is a number": lambda found: {**found, WEIGHTS: b'{"config": {"x": 1}}'},
    "a library": lambda found: {**found, "archive/data/aotinductor/model/evil.so": b"\x7fELF"},
    "a graph that is nested deeply": lambda found: {**found, GRAPH: b"[" * 100_000},
    "no graph": lambda found: {name: data for name, data in found.items() if name != GRAPH},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(name: str, good: bytes) -> None:
    with pytest.raises(ArtifactError) as caught:
        FORMATS["torch-export"].open(Bundle.of_file(packed(HOSTILE[name](members(good)))))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


IMAGES = "Symbol('s77', positive=True, integer=True)"
FEW = f"Mul(Integer(16), {IMAGES})"


@pytest.mark.parametrize(
    ("size", "passes"),
    [
        *((size, True) for size in ("s77", IMAGES, FEW, f"Min(Integer(32), {FEW})")),
        *((size, False) for size in (f"Mul({IMAGES}, {IMAGES})", f"Pow({IMAGES}, Integer(2))", f"{FEW}.evil()")),
        *((size, False) for size in ("Mul(Integer(16), exit())", f"Mul(Integer({'9' * 10}), {IMAGES})", 7)),
    ],
)
def test_sizes_are_multiples_of_the_number_of_images(size: object, passes: bool, good: bytes) -> None:
    archive = in_graph(lambda model: model["graph_module"].update(size={"expr_str": size}))(members(good))
    if passes:
        read_archive(packed(archive))
    else:
        with pytest.raises(ArtifactError, match="its graph computes the size"):
            read_archive(packed(archive))


@pytest.mark.slow
def test_a_pickle_in_its_sample_inputs_is_never_loaded(good: bytes) -> None:
    replaced = packed({**members(good), f"archive/{SAMPLE_INPUTS}": b"cos\nsystem\n(S'true'\ntR."})
    with FORMATS["torch-export"].open(Bundle.of_file(replaced)) as runner:
        assert runner.predict_in_batches(runner.test_vectors.inputs, 5).shape == (25, 10)


@given(data=st.data())
def test_a_damaged_archive_is_an_error_or_passes(data: st.DataObject, good: bytes) -> None:
    position = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:position] + bytes([good[position] ^ data.draw(st.integers(1, 255))]) + good[position + 1 :]
    try:
        read_archive(damaged)
    except ArtifactError as error:
        reason = str(error)
    else:
        reason = ""
    assert "\n" not in reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(sorted(OPERATORS)),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)


def places(value: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    """Return every field and item of nested JSON, as what holds it and its name or number there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@given(data=st.data())
def test_any_json_in_the_place_of_a_field_is_an_error_or_passes(data: st.DataObject, good: bytes) -> None:
    found = members(good)
    member = data.draw(st.sampled_from([GRAPH, WEIGHTS, CONSTANTS]))
    fields = {"": json.loads(found[member])}
    by_name: dict[str, list[tuple[Any, Any]]] = {}  # so that a name that is used once is as likely as one of hundreds
    for place in places(fields):
        by_name.setdefault(str(place[1]), []).append(place)
    same_name = by_name[data.draw(st.sampled_from(sorted(by_name)))]
    holder, key = same_name[data.draw(st.integers(0, len(same_name) - 1))]
    holder[key] = data.draw(JSON)
    reason = ""
    try:
        read_archive(packed({**found, member: json.dumps(fields[""]).encode()}))
    except ArtifactError as error:
        reason = str(error)
    assert "\n" not in reason
    assert len(reason) < 300
