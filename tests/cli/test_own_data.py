"""A folder of pictures on the command line, from `train` to `predict`."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from mnist_edge.cli import main
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.training.checkpoint import load_checkpoint
from tests.conftest import ROOT
from tests.training.datasets.picture_folders import COLORS, write_colors, write_digits

pytestmark = pytest.mark.slow

NET = f"{ROOT}/tests/training/architectures/own_networks.py:Residual"


def run(*arguments: str | Path | float) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def passed(*arguments: str | Path | float) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with digits and a model that was trained on them, in which the commands run."""
    folder = tmp_path_factory.mktemp("own data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_digits(folder / "tiny digits")
        settings = ("--image-size", 16, "--epochs", 12, "--lr", 0.03, "--momentum", 0.9, "--lr-schedule", "cosine")
        passed("train", "--dataset", "tiny digits", *settings)
        passed("export")
        yield folder


def test_a_folder_is_trained_on_exported_and_read_without_saying_more(here: Path) -> None:
    assert sorted(path.name for path in (here / "exports").iterdir()) == ["manifest.json", "tiny-digits-mlp.onnx"]
    passed("verify", *sorted((here / "exports").iterdir()))
    result = run("predict", "tiny digits/3", "--model", "exports/tiny-digits-mlp.onnx", "--format", "jsonl", "-k", 2)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert sum(answer["digit"] == 3 for answer in answers) >= 0.9 * len(answers)
    assert all(answer["label"] == str(answer["digit"]) for answer in answers)
    measured = json.loads(passed("evaluate", *here.glob("checkpoints/*.safetensors"), "--json").stdout)
    assert measured[0]["images"] == 359
    assert measured[0]["accuracy"] >= 0.9


def test_few_pictures_are_learned_as_they_are_and_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_colors(tmp_path / "icons")
    settings = (
        "--dataset",
        "icons",
        "--color",
        "--image-size",
        16,
        "--recipe",
        "photos",
        "--epochs",
        8,
        "--arch",
        "cnn",
    )
    result = passed("train", *settings)
    assert "are few for batches of 128: --batch-size 8 --learning-rate 0.00625\n" in result.stderr
    assert "few" not in passed("train", *settings, "--lr", 0.1, "--epochs", 1, "--force").stderr


def test_the_checkpoint_records_the_data(here: Path) -> None:
    data = load_checkpoint(here / "checkpoints" / "tiny-digits-mlp.safetensors").data
    assert (data.dataset, data.split_seed) == ("tiny digits", 0)
    assert data.sizes == {"train": 1259, "validation": 179, "test": 359}
    assert len(data.counts["train"]) == 10
    assert "tiny digits" in passed("info", "checkpoints/tiny-digits-mlp.safetensors").stdout


@pytest.mark.usefixtures("here")
def test_an_exported_file_is_measured_beside_its_checkpoint() -> None:
    names = "checkpoints/tiny-digits-mlp.safetensors", "exports/tiny-digits-mlp.onnx"
    measured = json.loads(passed("evaluate", *names, "--json").stdout)
    assert measured[0]["correct"] == measured[1]["correct"]
    result = run("evaluate", names[1])
    assert result.exit_code == 1
    assert f"name that too, as in `mnist-edge evaluate {names[0]} {names[1]}`" in result.stderr
    assert "the corruptions are for gray images of 28×28" in run("evaluate", names[0], "--corruptions").stderr


@pytest.mark.parametrize("kind", ["samples", "confusion", "mistakes"])
def test_figures_are_drawn_of_it(kind: str, here: Path) -> None:
    passed("plot", kind, "--dataset", "tiny digits", "--output", here / f"{kind}.png")
    assert (here / f"{kind}.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_was_moved_is_named_and_one_that_changed_is_noticed(here: Path, tmp_path: Path) -> None:
    moved = Path(shutil.move(here / "tiny digits", tmp_path / "moved"))
    try:
        result = run("verify", "exports/tiny-digits-mlp.onnx")
        assert result.exit_code == 1
        assert "are not in tiny digits: name their folder with --dataset" in result.stderr
        passed("evaluate", "checkpoints/tiny-digits-mlp.safetensors", "--dataset", moved)
        (moved / "0" / "0000.png").rename(tmp_path / "0000.png")
        for command in (("verify", "exports/tiny-digits-mlp.onnx"), ("export",)):
            result = run(*command, "--dataset", moved)
            assert result.exit_code == 1
            assert "has changed since the checkpoint was trained on it" in result.stderr.splitlines()[-1]
        (tmp_path / "0000.png").rename(moved / "0" / "0000.png")
    finally:
        shutil.move(moved, here / "tiny digits")


def test_colored_icons_and_a_residual_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_colors(tmp_path / "icons")
    settings = ("--color", "--image-size", 64, "--epochs", 12, "--recipe", "photos", "--batch-size", 8)
    passed("train", "--dataset", "icons", "--arch", NET, *settings)
    passed("export", "--arch", NET, "--format", "onnx", "--format", "torch-export")
    result = passed("verify", "exports", "--arch", NET, "--layers", "--html", "report.html")
    assert "no layerwise comparison: not available for this network" in result.stderr
    recognizer = Recognizer("exports/icons-residual.onnx")
    for label in COLORS:
        answer = recognizer.predict(tmp_path / "icons" / label / "0.png")
        assert (answer.label, answer.digit) == (label, None)
    sheet = tmp_path / "sheet.png"
    run("predict", f"icons/{label}/0.png", "-m", "exports/icons-residual.onnx", "--visualize", sheet, "--show-input")
    assert sheet.exists()
    passed("selfcheck", "exports/icons-residual.onnx")


CHANNELS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return 9 * self.conv(x).mean((2, 3))
"""
"""A network whose answer is the strongest of red, green and blue."""


def test_the_labels_of_what_was_trained_elsewhere_may_be_in_another_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_colors(tmp_path / "icons")
    (tmp_path / "net.py").write_text(CHANNELS)
    torch.save({"conv.weight": torch.eye(3)[..., None, None], "conv.bias": torch.zeros(3)}, "net.pt")
    settings = ("net.pt", "--arch", "net.py:Net", "--dataset", "icons", "--color", "--image-size", 16)
    result = passed("import", *settings)
    assert ": 0.00% is hardly better than guessing" in result.stderr
    result = run("import", *settings, "--labels", "rot,Grün")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        1,
        "Error: the labels are 'rot', 'Grün', expected those of icons in any order: --labels 'Grün,blau,rot'",
    )
    for name, value, message in (
        ("mnist", "0,1", "--labels goes with a --dataset that is a folder."),
        ("icons", "a\nb", r"Invalid value for '--labels': 'a\nb', expected labels in one line, separated by commas"),
    ):
        result = run("import", *settings[:3], "--dataset", name, "--labels", value)
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, f"Error: {message}")
    result = passed("import", *settings, "--labels", "rot,Grün,blau", "--force")
    assert ": 100.00% of the 12 test images" in result.stdout
    passed("export", "--arch", "net.py:Net")
    (report,) = json.loads(passed("verify", "exports", "--arch", "net.py:Net", "--json").stdout)
    assert report["accuracy"] == report["reference_accuracy"] == 1
    checkpoint, model = "checkpoints/icons-net.safetensors", "exports/icons-net.onnx"
    evaluations = json.loads(passed("evaluate", checkpoint, model, "--arch", "net.py:Net", "--json").stdout)
    assert [each["accuracy"] for each in evaluations] == [1, 1]
    assert Recognizer(model).predict("icons/rot/0.png").label == "rot"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--image-size", 32), 2, "go with a --dataset that is a folder"),
        (("--dataset", "missing"), 1, "there is no data set and no folder missing"),
        (
            ("--dataset", "icons", "--recipe", "robust"),
            1,
            "'robust' is for the ten handwritten digits, which icons is not",
        ),
        (("--dataset", "icons", "--rotation", 5), 1, "--rotation is for handwriting, which icons is not: leave it out"),
        (
            ("--dataset", "icons", "--recipe", "photos", "--blur", 0.5, "--drawn-digits", 0.1),
            1,
            "--blur, --drawn-digits are for the ten handwritten digits, which icons is not: leave them out",
        ),
        (("--dataset", "icons", "--preprocessing", "mnist/3", "--color"), 1, "leave out --image-size and --color"),
        (("--dataset", "icons", "--device", "cuda"), 1, "finds no device 'cuda' here"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    options: tuple[str | int, ...], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_colors(tmp_path / "icons", 4)
    result = run("train", *options)
    assert result.exit_code == code
    assert message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "checkpoints").exists()


def test_a_teacher_of_the_same_folder_in_other_parts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_colors(tmp_path / "icons", 4)
    student = ("train", "--dataset", "icons", "--image-size", 8, "--epochs", 1)
    passed(*student, "-o", "teacher.safetensors")
    taught = (*student, "--distillation-weight", 0.7, "--teacher", "teacher.safetensors", "-o", "student.safetensors")
    result = run(*taught, "--seed", 1)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: teacher.safetensors learned from pictures of icons that are held back here, since its parts were drawn "
        "from another seed: give both the same --seed, which is 0 there"
    )
    passed(*taught)


def test_pictures_that_are_learned_and_measured_on_are_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for part in ("train", "test"):
        write_colors(tmp_path / "icons" / part, 4)
    settings = ("--dataset", "icons", "--image-size", 8, "--epochs", 1, "-o", "a.safetensors")
    line = passed("train", *settings).stderr.splitlines()[0]
    assert line.startswith("9 of the validation and test pictures are identical to training pictures, such as ")
    assert "such as icons/test/" in line
    # A figure of the augmentation measures nothing.
    shown = passed("plot", "augmentation", "--dataset", "icons", "--recipe", "shapes", "-o", "a.png")
    assert "identical to training pictures" not in shown.stderr
