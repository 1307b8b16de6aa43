"""Weights of others: what is read, and what is refused without running anything."""

import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.formats.torchscript.deprecations import without_deprecations
from mnist_edge.training.weights_file import fit_weights, read_weights

NET = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
STATE = NET.state_dict()


def same(found: dict[str, Tensor]) -> bool:
    return set(found) == set(STATE) and all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    "saved",
    [
        STATE,
        {"model_state_dict": STATE, "epoch": 3, "loss": 0.5, "optimizer": {"lr": 0.1}},
        {f"module.{name}": tensor for name, tensor in STATE.items()},
        {"state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in STATE.items()}},
    ],
    ids=["plain", "training", "parallel", "compiled"],
)
def test_what_trainings_save_is_read(saved: object, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "a.pt")
    assert same(fit_weights(Path("a.pt"), read_weights(tmp_path / "a.pt"), STATE))
    torch.save(saved, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    assert same(fit_weights(Path("a.pt"), read_weights(tmp_path / "legacy.pth"), STATE))


@pytest.mark.parametrize("child", ["module", "_orig_mod", "module._orig_mod"])
@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod."])
def test_a_child_may_be_called_as_a_wrapper_is(child: str, wrapper: str, tmp_path: Path) -> None:
    expected = {f"{child}.{name}": tensor for name, tensor in STATE.items()}
    torch.save({f"{wrapper}{name}": tensor for name, tensor in expected.items()}, tmp_path / "a.pt")
    fitted = fit_weights(Path("a.pt"), read_weights(tmp_path / "a.pt"), expected)
    assert fitted.keys() == expected.keys()


def test_safetensors_are_read(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "a.safetensors")
    assert same(read_weights(tmp_path / "a.safetensors"))


class Bomb:
    """Code that a pickle runs."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def hostile(folder: Path) -> dict[str, tuple[Callable[[Path], object], str]]:
    mark = folder / "mark"
    return {
        "a module": (lambda path: torch.save(NET, path), "to read its torch.nn.modules.container.Sequential would run"),
        "code": (
            lambda path: torch.save({"a": Bomb(mark)}, path),
            "to read its pathlib.Path.touch|to read its .*would",
        ),
        "code in a pickle": (
            lambda path: path.write_bytes(pickle.dumps(Bomb(mark))),
            "would run code|is not a file of",
        ),
        "os.system": (
            lambda path: path.write_bytes(b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."),
            "would run code|is not a file of",
        ),
        "a program": (
            _program,
            "is a TorchScript program, which holds code",
        ),
        "nothing": (lambda path: path.write_bytes(b""), "is not a file of torch.save, or is damaged"),
        "text": (lambda path: path.write_text("hello"), "is not a file of torch.save, or is damaged"),
        "half a file": (_half, "is not a file of torch.save, or is damaged|is a damaged archive"),
        "a number": (lambda path: torch.save(3, path), "holds int, expected one dictionary of tensors"),
        "two of them": (lambda path: torch.save({"a": STATE, "b": STATE}, path), "holds 2 of them, expected one"),
        "an empty one": (lambda path: torch.save({}, path), "holds dict, expected one"),
        "a zip bomb": (_bomb, r"unpacks to 2,147,483,648 bytes, expected at most"),
    }


def _program(path: Path) -> None:
    with without_deprecations():
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), path)


def _half(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:700])


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    data = path.read_bytes()
    size = (4).to_bytes(4, "little") * 2
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, (4).to_bytes(4, "little") + (1 << 31).to_bytes(4, "little")))


@pytest.mark.parametrize("case", hostile(Path()))
def test_what_holds_more_or_less_than_weights_is_one_line(case: str, tmp_path: Path) -> None:
    save, message = hostile(tmp_path)[case]
    path = tmp_path / "a.pt"
    save(path)
    with pytest.raises(UserError, match=message) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not (tmp_path / "mark").exists()
    if "archive" not in str(caught.value) and "unpacks" not in str(caught.value):
        assert "save the weights alone, with torch.save(model.state_dict(), 'a.pt')" in str(caught.value)


def test_a_file_that_is_not_safetensors_or_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"12345678{}")
    with pytest.raises(UserError, match="is not a safetensors file, or is damaged"):
        read_weights(tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="cannot read"):
        read_weights(tmp_path / "missing.pt")


def test_other_precisions_become_the_networks_own() -> None:
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in STATE.items()}
    fitted = fit_weights(Path("a.pt"), half, STATE)
    assert {name: tensor.dtype for name, tensor in fitted.items()} == {name: t.dtype for name, t in STATE.items()}
    assert torch.allclose(fitted["0.weight"], STATE["0.weight"], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0.weight": torch.zeros(3, 5)}, "0.weight is [3, 5], the network's is [3, 4]"),
        ({"2.weight": torch.zeros(3)}, "the network has no 2.weight"),
        ({"0.weight": torch.full((3, 4), torch.nan)}, "0.weight in a.pt holds NaN or infinity"),
        (
            {"0.weight": torch.zeros(3, 4, dtype=torch.int64)},
            "0.weight in a.pt is of type int64, the network's is float32",
        ),
        ({"0.weight": torch.zeros(3, 4).to_sparse()}, "0.weight in a.pt is of type float32"),
        ({f"\x1b[2J{number}": torch.zeros(1) for number in range(9)}, "\\x1b[2J0; the network has no \\x1b[2J1;"),
    ],
)
def test_weights_that_do_not_fit_are_named(change: dict[str, Tensor], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        fit_weights(Path("a.pt"), STATE | change, STATE)
    assert len(str(caught.value)) < 300
    with pytest.raises(UserError, match=r"it has no 0\.weight"):
        fit_weights(Path("a.pt"), {name: t for name, t in STATE.items() if name != "0.weight"}, STATE)


def test_a_tensor_that_claims_to_be_large_is_refused_by_its_shape() -> None:
    huge = torch.zeros(1).expand(1 << 40)
    with pytest.raises(UserError, match=r"0\.weight is \[1099511627776\]"):
        fit_weights(Path("a.pt"), STATE | {"0.weight": huge}, STATE)
