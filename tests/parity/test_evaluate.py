import dataclasses
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_edge.artifact.contract import Contract
from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.parity.evaluate import (
    OpenModel,
    check_finite,
    evaluate,
    evaluate_corrupted,
    load_test_images,
    open_checkpoint,
    open_model,
)
from mnist_edge.parity.reference import Reference
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES
from mnist_edge.training.datasets import of_checkpoint, registry
from mnist_edge.training.datasets.pictures import find_folder
from mnist_edge.training.datasets.splits import Split
from tests.conftest import DATA, RELEASED


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_with_a_value_that_is_not_finite_is_refused_by_its_index(value: float) -> None:
    images = np.zeros((5, 1, 28, 28), np.float32)
    check_finite(images)
    images[3, 0, 27, 27] = value
    with pytest.raises(UserError, match="image 3 holds NaN or infinity"):
        check_finite(images)


@pytest.mark.slow
def test_a_checkpoint_and_its_artifacts_are_opened_alike(
    exported: list[Artifact], reference: Reference, test_data: Split
) -> None:
    part = Split(test_data.images[:500], test_data.labels[:500])
    for path in (RELEASED, *(artifact.path for artifact in exported)):
        model = open_model(path)
        assert (model.path, model.task) == (path, reference.checkpoint.task)
        assert model.temperature == reference.checkpoint.temperature
        measured = evaluate(model, part)
        assert measured.images == 500
        assert measured.accuracy >= 0.99


def test_a_checkpoint_in_memory_answers_as_the_reference(reference: Reference) -> None:
    model = open_checkpoint(RELEASED, reference.checkpoint)
    assert np.array_equal(model.predict_logits(reference.images[:2_000]), reference.logits[:2_000])


@pytest.mark.slow
def test_corrupted_images_are_harder(reference: Reference, test_data: Split) -> None:
    part = Split(test_data.images[:200], test_data.labels[:200])
    model = open_checkpoint(RELEASED, reference.checkpoint)
    clean = evaluate(model, part).accuracy
    other = open_model(BUILTIN_MODELS["cnn"])
    steps: list[str] = []
    measured, others = evaluate_corrupted([model, other], part, steps.append)
    assert steps[:2] == [f"{each.path.name}: answers with gaussian_blur of severity 1" for each in (model, other)]
    assert list(measured) == list(others) == list(CORRUPTIONS)
    for accuracies in measured.values():
        assert len(accuracies) == len(SEVERITIES)
        assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert np.mean(list(measured.values())) < clean
    assert others != measured
    assert evaluate_corrupted([model], part) == [measured]


def test_what_is_neither_is_one_line(tmp_path: Path) -> None:
    for suffix in (".onnx", ".pt", ".pt2"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"not a model")
        with pytest.raises(UserError, match=r"cannot (load|use) .*; expected an? ") as caught:
            open_model(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="cannot tell the format"):
        open_model(tmp_path / "a.txt")


def test_images_that_an_artifact_does_not_take_are_one_line(exports: Path) -> None:
    model = open_model(exports / "mnist-mlp.onnx")
    with pytest.raises(UserError, match=r"cannot run .*onnxruntime cannot run a batch of 1"):
        model.predict_logits(np.zeros((3, 1, 14, 14), np.float32))


def of_pictures(
    released: Checkpoint,
    seed: int,
    digest: str = "0" * 64,
    **task: Any,  # noqa: ANN401 - as `replace` has it
) -> OpenModel:
    """Return a model of a folder of pictures, by its checkpoint, which was drawn from that seed and those files."""
    checkpoint = dataclasses.replace(
        released,
        task=dataclasses.replace(released.task, **{"name": "photos", **task}),
        data=dataclasses.replace(released.data, dataset="photos", split_seed=seed),
        data_digest=digest,
        file_digest=f"{seed:064}",
    )
    path = Path(f"seed-{seed}.safetensors")
    return OpenModel(path, lambda images: images[:, 0, 0, :10], 1.0, checkpoint.task, checkpoint=checkpoint)


def exported_from(model: OpenModel) -> OpenModel:
    assert model.checkpoint is not None
    contract = Contract(model.task, "mlp", model.checkpoint.digest, "int8", "dynamic-s8")
    path = model.path.with_suffix(".onnx")
    return dataclasses.replace(model, path=path, checkpoint=None, contract=contract)


NOT_THE_SAME = r"^the test images of seed-0\.safetensors and seed-1\.safetensors are not the same: evaluate them apart$"


def test_models_are_measured_together_on_their_own_test_images_alone(
    released: Checkpoint, test_data: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_checkpoint, "load_test_images", lambda *_: test_data)
    zero, one = of_pictures(released, 0), of_pictures(released, 1)
    assert load_test_images([zero, zero, exported_from(zero)], DATA) is test_data
    with pytest.raises(UserError, match=NOT_THE_SAME):
        load_test_images([zero, dataclasses.replace(of_pictures(released, 0, "1" * 64), path=one.path)], DATA)
    with pytest.raises(UserError, match=r"^seed-1\.onnx was exported from another checkpoint than seed-0\.safetensors"):
        load_test_images([exported_from(one), zero], DATA)


def folder_of_pictures(folder: Path, released: Checkpoint, *, own_test: bool) -> Path:
    parts = ("train", "test") if own_test else ("",)
    for part, label, number in product(parts, released.task.labels, range(8)):
        path = folder / part / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), 20 * number).save(path)
    return folder


def of_folder(released: Checkpoint, folder: Path, seed: int) -> OpenModel:
    """Return a model of a folder of pictures as it is, as if trained from that seed."""
    task = dataclasses.replace(released.task, name="photos", preprocessing="resize/1")
    model = of_pictures(released, seed, find_folder(folder, task, seed).digest(), preprocessing="resize/1")
    assert model.checkpoint is not None
    data = dataclasses.replace(model.checkpoint.data, dataset=str(folder))
    return dataclasses.replace(model, checkpoint=dataclasses.replace(model.checkpoint, data=data))


def test_models_of_several_seeds_are_measured_together_where_no_test_images_were_drawn(
    released: Checkpoint, tmp_path: Path
) -> None:
    folder = folder_of_pictures(tmp_path / "photos", released, own_test=True)
    zero, one = (of_folder(released, folder, seed) for seed in (0, 1))
    assert len(load_test_images([zero, one, exported_from(one), exported_from(zero)], DATA)) == 80
    moved = folder.rename(tmp_path / "moved")
    assert len(load_test_images([zero, one], DATA, moved)) == 80
    with pytest.raises(UserError, match=r"are not in .*photos: name their folder with --dataset"):
        load_test_images([zero, one], DATA)


def test_models_of_several_seeds_are_not_measured_together_where_test_images_were_drawn(
    released: Checkpoint, tmp_path: Path
) -> None:
    """Most test images of one draw of a folder were learned from in another."""
    folder = folder_of_pictures(tmp_path / "photos", released, own_test=False)
    zero, one = (of_folder(released, folder, seed) for seed in (0, 1))
    with pytest.raises(UserError, match=NOT_THE_SAME):
        load_test_images([zero, one], DATA)


def test_models_of_different_tasks_are_not_measured_together(released: Checkpoint) -> None:
    model = of_pictures(released, 0)
    for task, differs in (
        ({"labels": model.task.labels[::-1]}, "labels"),
        ({"name": "drawings", "preprocessing": "resize/1"}, "name and preprocessing"),
    ):
        message = f"differ in their {differs}: evaluate them apart$"
        with pytest.raises(UserError, match=message):
            load_test_images([model, of_pictures(released, 0, **task)], DATA)


def test_models_of_a_data_set_may_differ_in_how_they_read_pictures(
    released: Checkpoint, test_data: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its test images are the same for all; as `module_reference` reads pictures, polarity differs too."""
    monkeypatch.setattr(registry, "load_test_data", lambda *_: test_data)
    first = open_checkpoint(RELEASED, released)
    of_module = dataclasses.replace(released.task.input, name="x", polarity="as-pictured")
    task = dataclasses.replace(released.task, input=of_module, preprocessing="resize/1")
    other = exported_from(dataclasses.replace(first, task=task))
    assert load_test_images([first, other], DATA) is test_data
    for change in ({"shape": (1, 20, 20)}, {"range": (0.0, 255.0)}):
        task = dataclasses.replace(released.task, input=dataclasses.replace(of_module, **change))
        with pytest.raises(UserError, match=r"differ in their input: evaluate them apart$"):
            load_test_images([first, dataclasses.replace(other, task=task)], DATA)


def test_a_folder_for_a_model_of_a_data_set_that_is_none_is_refused() -> None:
    model = open_model(BUILTIN_MODELS["mlp"])
    with pytest.raises(
        UserError, match=r"mnist-mlp-int8\.onnx is for mnist, not for a folder of .*: leave out --dataset$"
    ):
        load_test_images([model], DATA, Path("missing"))


def test_the_checkpoint_that_is_asked_for_has_the_name_that_training_gave_it(released: Checkpoint) -> None:
    model = dataclasses.replace(exported_from(of_pictures(released, 0)), path=Path("exports/photos-mlp-int8.onnx"))
    message = r"`mnist-edge evaluate checkpoints/photos-mlp\.safetensors exports/photos-mlp-int8\.onnx`$"
    with pytest.raises(UserError, match=message):
        load_test_images([model], DATA)
