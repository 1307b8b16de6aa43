import dataclasses
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from mnist_edge.artifact.contract import Task
from mnist_edge.cli.edge import end_on_sigterm
from mnist_edge.errors import UserError
from mnist_edge.outside import Terminated
from mnist_edge.training.architectures.own import OwnArchitecture, load_architecture
from mnist_edge.training.architectures.registry import build_model, weights_fit
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.trial import TOLERANCE
from mnist_edge.types import TensorSpec

MNIST = DATASETS["mnist"].task
COLOR = Task("icons", ("a", "b", "c"), TensorSpec("image", (3, 20, 24)), "none/1")
NETWORKS = Path(__file__).with_name("own_networks.py")


@pytest.mark.parametrize("task", [MNIST, COLOR], ids=["mnist", "color"])
@pytest.mark.parametrize("name", ["Residual", "flat"])
def test_a_network_of_a_file_is_given_images_as_it_takes_them(name: str, task: Task) -> None:
    own = load_architecture(f"{NETWORKS}:{name}")
    assert own.name == f"own_networks.py:{name}"
    model = build_model(own.name, task, own=own).eval()
    assert model(torch.zeros(3, *task.input.shape)).shape == (3, len(task.labels))
    assert weights_fit(own.name, task, model.state_dict(), own)
    assert all(key.startswith("network.") for key in model.state_dict())
    assert not weights_fit(own.name, MNIST if task is COLOR else COLOR, model.state_dict(), own)


def test_a_module_is_named_with_dots_and_found_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "tests.training.architectures.own_networks"
    own = load_architecture(f"{module}:Residual")
    assert own.name == f"{module}:Residual"
    (tmp_path / "netz_hier.py").write_text("from torch import nn\ndef net():\n    return nn.Linear(784, 10)\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert build_model("netz_hier:net", MNIST, own=load_architecture("netz_hier:net")) is not None
    assert sys.path == before


def test_weights_and_dropout_are_drawn_from_the_seed_alone() -> None:
    own = load_architecture(f"{NETWORKS}:flat")
    before = torch.random.get_rng_state()
    first, second, third = (build_model(own.name, MNIST, seed, own).state_dict() for seed in (4, 4, 5))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)
    assert first["network.1.num_batches_tracked"] == 0  # the trial leaves no trace
    assert (first["network.1.running_mean"] == 0).all()


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "layers_beside.py").write_text("from torch import nn\nlayer = nn.Linear(784, 10)\n")
    (tmp_path / "net.py").write_text("from layers_beside import layer\ndef net():\n    return layer\n")
    assert build_model("net.py:net", MNIST, own=load_architecture(f"{tmp_path / 'net.py'}:net")) is not None


def test_code_that_was_just_changed_is_the_code_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python keeps the bytecode of a file, for any of the same size that was written in the same second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    net, kinds = tmp_path / "net.py", []
    for name in ("ReLU", "Tanh"):
        net.write_text(f"from torch import nn\ndef net():\n    return nn.{name}()\n")
        os.utime(net, (1, 1))
        kinds.append(type(load_architecture(f"{net}:net").definition()).__name__)
    assert kinds == ["ReLU", "Tanh"]


def test_code_that_is_not_given_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"net\.py:Net is not a part of mnist-edge.*--arch path/to/net\.py:Net"):
        build_model("net.py:Net", MNIST)


HEAD = "import torch\nfrom torch import nn\n"

HOSTILE = {
    "a class that raises": ("class Net(nn.Module):\n def __init__(self): raise OSError('a\\nb')", r"OSError \(a b\)"),
    "a class that stops": ("class Net(nn.Module):\n def __init__(self): raise KeyError", "raises KeyError"),
    "not a network": ("class Net: pass", "gives a Net, expected a torch.nn.Module"),
    "no such class": ("class Other: pass", "has no 'Net': expected one of Other"),
    "nothing at all": ("", "has no 'Net'"),
    "already made": ("Net = nn.Linear(784, 10)", "made already"),
    "a number": ("Net = 7", "is an int"),
    "other arguments": ("class Net(nn.Linear): pass", "asks for the argument 'in_features'"),
    "other images": ("def Net(): return nn.Linear(100, 10)", "raises RuntimeError .* with images"),
    "other labels": ("def Net(): return nn.Linear(784, 9)", r"gives float32 \[2, 9\] .* expected float32 \[2, 10\]"),
    "one logit for ten labels": (
        "def Net(num_classes): return nn.Sequential(nn.Flatten(), nn.Linear(784, 1))",
        r"\[2, 1\] .*expected float32 \[2, 10\]: one logit for each of the 10 labels$",
    ),
    "several answers": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x): return super().forward(x), x",
        "answers with a tuple",
    ),
    "sparse logits": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x): return super().forward(x).to_sparse()",
        r"gives torch\.sparse_coo logits, expected dense ones: return logits\.to_dense\(\)",
    ),
    "a module that is not prepared": (
        "class Net(nn.Module):\n def __init__(self): self.size = 3",
        r"the Net was made without super\(\)\.__init__\(\): call it first in its class's __init__\(\)",
    ),
    "several answers from the second time on": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10); self.kept = []\n"
        " def forward(self, x):\n  self.kept.append(super().forward(x))\n"
        "  return self.kept[0] if len(self.kept) == 1 else tuple(self.kept)",
        "answers with a tuple, expected one tensor of logits",
    ),
    "other sizes the second time": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10); self.kept = []\n"
        " def forward(self, x):\n  self.kept.append(super().forward(x))\n  return torch.cat(self.kept)",
        r"gives float32 \[4, 10\] for 2 images, expected float32 \[2, 10\]",
    ),
    "NaN": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x): return super().forward(x) * float('nan')",
        r"not finite numbers for images in \[0, 1\]",
    ),
    "a softmax at the end": (
        "def Net(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax(1))",
        r"gives probabilities, expected logits: leave out its last softmax",
    ),
    "a dropout that is always on": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x): return nn.functional.dropout(super().forward(x))",
        "gives other logits for the same images each time, .* training=self.training",
    ),
    "a dropout of the images that is always on": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x): return super().forward(nn.functional.dropout(x, 0.2))",
        "gives other logits for the same images each time, .* training=self.training",
    ),
    "images that are changed": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x):\n  x -= 0.5\n  return super().forward(x)",
        "changes the images that it is given: write `x = x - 0.5`",
    ),
    "statistics of the batch": (
        "def Net(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), "
        "nn.ReLU(), nn.Flatten(), nn.Linear(2704, 10))",
        "gives other logits for an image alone than for the same one beside another: .*track_running_stats",
    ),
    "a mean over the images": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x): return super().forward(x - x.mean(0))",
        "gives other logits for an image alone than for the same one beside another",
    ),
    "a recurrent layer over the images": (
        "class Net(nn.Module):\n def __init__(self):\n  super().__init__()\n"
        "  self.rows, self.last = nn.GRU(28, 8), nn.Linear(28 * 8, 10)\n"
        " def forward(self, x): return self.last(self.rows(x.squeeze(1))[0].flatten(1))",
        "gives other logits for an image alone than for the same one beside another: .* without batch_first=True",
    ),
    "one image that is taken for none": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x): return super().forward(x.squeeze())",
        r"gives float32 \[10\] for 1 image, expected float32 \[1, 10\]: .* squeeze\(\) drops the batch of one",
    ),
    "no single image": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x): return super().forward(x) + 0 * x.std(0, correction=len(x) - 1 or 1 / 0).mean()",
        r"ZeroDivisionError .* with a single image",
    ),
    "bad in training": (
        "class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10)\n"
        " def forward(self, x):\n  if self.training: raise ValueError('no')\n  return super().forward(x)",
        r"ValueError \(no\) in line 6 of net.py in training",
    ),
    "a class that ends the program": (
        "class Net(nn.Module):\n def __init__(self): raise SystemExit(0)",
        r"raises SystemExit \(0\) in line 4 of net.py when it is called",
    ),
    "not Python": ("class Net(", "cannot import .*SyntaxError"),
    "raises as it is read": ("1 / 0", r"cannot import .*ZeroDivisionError \(division by zero\) in line 3 of net.py"),
    "ends the program": ("import sys; sys.exit(3)", "cannot import .*SystemExit"),
    "a package that is missing": ("import not_there_at_all", "No module named 'not_there_at_all'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_code_that_does_not_give_a_network_is_one_line(case: str, tmp_path: Path) -> None:
    code, message = HOSTILE[case]
    (tmp_path / "net.py").write_text(HEAD + code + "\n")
    modules = set(sys.modules)
    with pytest.raises(UserError, match=message) as caught:
        build_model("net.py:Net", MNIST, own=load_architecture(f"{tmp_path / 'net.py'}:Net"))
    assert "\n" not in str(caught.value)
    assert set(sys.modules) - modules <= {"own_net"}


@pytest.mark.parametrize(("last", "join"), [("", "cat"), (", nn.Flatten(0)", "stack")])
def test_one_logit_for_two_labels_is_told_how_to_be_two(last: str, join: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(f"{HEAD}def Net(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 1){last})\n")
    task = dataclasses.replace(MNIST, labels=("no", "yes"))
    with pytest.raises(UserError, match=rf"return torch\.{join}\(\[torch\.zeros_like\(z\), z\], 1\)") as caught:
        build_model("net.py:Net", task, own=load_architecture(f"{tmp_path / 'net.py'}:Net"))
    assert "\n" not in str(caught.value)


def test_logits_without_numbers_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        f"{HEAD}class Net(nn.Linear):\n def __init__(self): super().__init__(784, 10, device='meta')\n"
        " def forward(self, x): return super().forward(x.to('meta'))\n"
    )
    with pytest.raises(UserError, match=r"gives logits on the meta device, which holds no numbers: .* on the CPU$"):
        build_model("net.py:Net", MNIST, own=load_architecture(f"{tmp_path / 'net.py'}:Net"))


def test_two_logits_of_one_image_are_not_taken_for_one_of_two_images(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        f"{HEAD}class Net(nn.Linear):\n def __init__(self): super().__init__(784, 2)\n"
        " def forward(self, x): return super().forward(x).squeeze()\n"
    )
    task = dataclasses.replace(MNIST, labels=("no", "yes"))
    with pytest.raises(UserError, match=r"\[2\] for 1 image, expected .* write squeeze\(1\) or flatten\(1\)$"):
        build_model("net.py:Net", task, own=load_architecture(f"{tmp_path / 'net.py'}:Net"))


class Beside(nn.Module):
    """Logits of a chosen size, which are others for an image that is not alone."""

    def __init__(self, size: float, shift: float) -> None:
        super().__init__()
        self.size, self.shift = size, shift

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 0 * image.flatten(1)[:, :10] + self.size + self.shift * (len(image) - 1)


@pytest.mark.parametrize("size", [0.25, 100.0])
@pytest.mark.parametrize("part", [0.9, 1.1])
def test_logits_beside_others_may_differ_by_rounding(size: float, part: float) -> None:
    own = OwnArchitecture("net.py:Net", lambda: Beside(size, part * TOLERANCE * max(1.0, size)))
    with nullcontext() if part < 1 else pytest.raises(UserError, match="gives other logits for an image alone"):
        own.make(MNIST)


def test_layers_that_take_the_last_side_of_an_image_are_given_its_values_in_a_row(tmp_path: Path) -> None:
    """A linear layer takes any number of sides before the last one, and gives as many."""
    (tmp_path / "net.py").write_text(
        HEAD + "def Net(): return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))\n"
    )
    task = dataclasses.replace(COLOR, input=TensorSpec("image", (1, 1, 4)))
    model = build_model("net.py:Net", task, own=load_architecture(f"{tmp_path / 'net.py'}:Net"))
    assert model(torch.zeros(5, 1, 1, 4)).shape == (5, 3)


def test_what_a_network_prints_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(
        HEAD
        + "print('read')\nclass Net(nn.Linear):\n def __init__(self):\n  super().__init__(784, 10)\n  print('made')\n"
        " def forward(self, x):\n  print('run')\n  return super().forward(x)\n"
    )
    build_model("net.py:Net", MNIST, own=load_architecture(f"{tmp_path / 'net.py'}:Net"))
    out, err = capsys.readouterr()
    assert out == ""
    assert set(err.split()) == {"read", "made", "run"}


@pytest.mark.parametrize(
    "spec", ["missing.py:Net", "not_there_at_all:Net", "a b:Net", "net.py:", ":Net", "rnn", "1.2:N"]
)
def test_a_name_without_code_is_one_line(spec: str) -> None:
    with pytest.raises(UserError) as caught:
        load_architecture(spec)
    assert "\n" not in str(caught.value)


def test_a_larger_image_than_a_flat_network_takes_is_one_line() -> None:
    task = dataclasses.replace(MNIST, input=dataclasses.replace(MNIST.input, shape=(1, 1, 1)))
    own = load_architecture(f"{NETWORKS}:flat")
    model = build_model(own.name, task, own=own)
    assert not weights_fit(own.name, MNIST, model.state_dict(), own)


OUTSIDE = {
    "too little memory": MemoryError(),
    "too little memory for torch": RuntimeError("[enforce fail]\nDefaultCPUAllocator: can't allocate memory: 9 bytes"),
    "a stream that nobody reads": BrokenPipeError(32, "Broken pipe"),
    "SIGTERM": Terminated(143),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_network_is_not_blamed_for_what_happens_outside_it(case: str) -> None:
    def fail() -> None:
        raise OUTSIDE[case]

    with pytest.raises(type(OUTSIDE[case])) as caught:
        load_architecture(f"{NETWORKS}:flat").run_with_gradients("in training", fail)
    assert caught.value is OUTSIDE[case]


def test_code_is_not_blamed_for_a_signal_as_it_is_imported(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        end_on_sigterm()
        (tmp_path / "ended.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
        with pytest.raises(Terminated) as caught:
            load_architecture(f"{tmp_path / 'ended.py'}:Net")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 143
    assert "own_ended" not in sys.modules
