"""The .npz of a network: what NumPy reads in it, what it gives, and what a damaged or hostile one is."""

import io
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.c.reference import logits_of, to_bytes
from mnist_edge.formats.numpy.archive import METADATA
from mnist_edge.formats.numpy.exporter import export
from mnist_edge.formats.registry import FORMATS, read_artifact
from mnist_edge.parity.devices import equal_logits
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.weights import weight_problems
from tests.conftest import ROOT
from tests.formats.c.networks import NETWORKS, made, request_for

NUMPY = FORMATS["numpy"]


@pytest.fixture(scope="module")
def path(exported: list[Artifact]) -> Path:
    """The int8 file of the released MLP."""
    (found,) = (each.path for each in exported if each.path.name == "mnist-mlp-int8.npz")
    return found


def test_numpy_reads_the_arrays_by_itself(path: Path) -> None:
    with np.load(path) as arrays:
        assert {name for name in arrays.files if name != METADATA} == {
            *("1.weights", "1.bias", "1.multipliers", "2.weights", "2.bias", "2.multipliers"),
            *("3.weights", "3.bias", "3.scales"),
        }
        assert arrays["1.weights"].dtype == np.int8
        assert arrays["1.weights"].size == 784 * 128
    assert path.stat().st_size < 125_000


def test_its_bytes_give_the_logits_of_the_header(exported: list[Artifact], path: Path, reference: Reference) -> None:
    (header,) = (read(read_artifact(each.path).bundle) for each in exported if each.path.name == "mnist-mlp-int8.h")
    images = reference.sample(200).images
    expected = logits_of(header.network, to_bytes(images, header.network.input_step))
    with read_artifact(path).open() as runner:
        assert equal_logits(runner.predict(images), expected) == len(images)
        alone = np.concatenate([runner.predict(images[index : index + 1]) for index in range(20)])
        assert equal_logits(alone, expected[:20]) == 20


@pytest.mark.parametrize("quantized", [False, True], ids=["floats", "bytes"])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_chain_gives_its_logits_and_is_read_back(name: str, quantized: bool) -> None:
    model, images = made(name)
    request = request_for(model, images, quantized=quantized)
    (bundle,) = export(model, [request])
    with NUMPY.open(bundle.with_checksum()) as runner:
        given = runner.predict(runner.test_vectors.inputs)
        assert np.abs(given - runner.test_vectors.expected_logits).max() <= (0 if quantized else 1e-4)
        inspection = NUMPY.inspector().inspect(bundle, runner)
        assert weight_problems(inspection.weights, model) == ()
        with pytest.raises(ArtifactError, match="it takes images of shape"):
            runner.predict(np.zeros((1, 1, 2, 2), np.float32))


def test_a_picture_is_read_without_onnxruntime(path: Path) -> None:
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from mnist_edge import Recognizer\n"
        f"print(Recognizer({str(path)!r}).predict({str(ROOT / 'examples' / 'seven.png')!r}).digit)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("7\n", "")


def repacked(change: Callable[[dict[str, bytes]], object], compression: int = 0) -> Callable[[bytes], bytes]:
    """Return what changes the members of a file."""

    def apply(data: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
            comment = archive.comment
        change(members)
        result = io.BytesIO()
        with zipfile.ZipFile(result, "w", compression) as archive:
            archive.comment = comment
            for name, content in members.items():
                archive.writestr(name, content)
        return result.getvalue()

    return apply


def npy(array: np.ndarray) -> bytes:
    result = io.BytesIO()
    np.lib.format.write_array(result, array, allow_pickle=True)
    return result.getvalue()


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "it is not an archive of NumPy, or is damaged"),
    "cut": (lambda data: data[:-200], "it is not an archive of NumPy, or is damaged"),
    "a changed byte": (lambda data: data.replace(b"NUMPY", b"NUMPX", 1), "is not an archive of NumPy, or is damaged"),
    "compressed": (repacked(lambda _: None, zipfile.ZIP_DEFLATED), "its members are compressed, or overlap"),
    "without metadata": (repacked(lambda members: members.pop(METADATA)), rf"it holds no {METADATA}"),
    "broken metadata": (repacked(lambda members: members.update({METADATA: b"{"})), r"its metadata\.json is damaged"),
    "without an array": (repacked(lambda members: members.pop("2.bias.npy")), r"it holds no 2\.bias\.npy"),
    "one array more": (
        repacked(lambda members: members.update({"4.bias.npy": npy(np.zeros(3))})),
        r"'4\.bias\.npy', which does not belong there",
    ),
    "a pickle": (
        repacked(lambda members: members.update({"3.bias.npy": npy(np.array([{}] * 10, object))})),
        r"3\.bias\.npy is object \[10\], expected 10 of int32",
    ),
    "another type": (
        repacked(lambda members: members.update({"3.bias.npy": npy(np.zeros(10, np.int64))})),
        r"3\.bias\.npy is int64 \[10\], expected 10 of int32",
    ),
    "another size": (
        repacked(lambda members: members.update({"3.bias.npy": npy(np.zeros(11, np.int32))})),
        r"3\.bias\.npy is int32 \[11\], expected 10 of int32",
    ),
    "a number that is not finite": (
        repacked(lambda members: members.update({"3.scales.npy": npy(np.full(10, np.inf, np.float32))})),
        r"3\.scales\.npy is cut off, or a number in it is not finite",
    ),
    "cut numbers": (
        repacked(lambda members: members.update({"3.bias.npy": members["3.bias.npy"][:-4]})),
        r"3\.bias\.npy is cut off",
    ),
    "not .npy": (repacked(lambda members: members.update({"3.bias.npy": b"three"})), "is not understood here"),
    "sums that overflow": (
        repacked(lambda members: members.update({"3.bias.npy": npy(np.full(10, 2**31 - 1, np.int32))})),
        "sums of .* could exceed 32 bits",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line(case: str, path: Path) -> None:
    damage, message = DAMAGE[case]
    with pytest.raises(ArtifactError, match=message) as caught:
        NUMPY.open(Bundle.of_file(damage(path.read_bytes())))
    assert "\n" not in str(caught.value)


def test_a_header_cannot_ask_for_memory(path: Path) -> None:
    header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (1152921504606846976,), }"
    huge = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    damaged = repacked(lambda members: members.update({"3.bias.npy": huge}))(path.read_bytes())
    with pytest.raises(ArtifactError, match=r"3\.bias\.npy is int32 \[1152921504606846976\], expected 10 of int32"):
        NUMPY.open(Bundle.of_file(damaged))


def test_logits_beyond_float32_are_infinite_without_a_warning() -> None:
    model, images = made("linear")
    with torch.no_grad():
        model.get_parameter("1.weight").fill_(10)
    (bundle,) = export(model, [request_for(model, images, quantized=False)])
    with NUMPY.open(bundle) as runner, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isposinf(runner.predict(np.full((1, 1, 3, 4), 3e37, np.float32))).all()
