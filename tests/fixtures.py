"""What tests ask for by name: data, references, and files that one process exports and all read."""

import gc
import pickle
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from hypothesis import HealthCheck, settings

from mnist_edge import parity
from mnist_edge.atomic import atomic_write
from mnist_edge.exporting.pipeline import Artifact, export_artifacts
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.scheme import Precision
from mnist_edge.locks import locked
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference, make_reference
from mnist_edge.parity.verify import verify_path
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint
from mnist_edge.training.datasets.registry import load_test_data, load_training_data
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests import warm
from tests.conftest import DATA, INSTALLED, RELEASED, RELEASES
from tests.damage.reports import broken_reports

T = TypeVar("T")

Programs = dict[tuple[object, ...], Mapping[str, bytes]]
"""What exporters gave, as a reference remembers it."""


# The garbage collector would look through torch's million objects again and again: an eighth of the time.
gc.set_threshold(*warm.GC_THRESHOLD)
warm.parse_operators_once()
warm.list_operators_once()

# No test depends on how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def training_data() -> TrainingData:
    return load_training_data("mnist", DATA)


@pytest.fixture(scope="session")
def few(training_data: TrainingData) -> TrainingData:
    """2,000 images to train on and 1,000 to validate on, for tests of the loop rather than of the model."""
    return TrainingData(
        train=Split(training_data.train.images[:2000], training_data.train.labels[:2000]),
        validation=Split(training_data.validation.images[:1000], training_data.validation.labels[:1000]),
        digest="0" * 64,
    )


@pytest.fixture(scope="session")
def test_data() -> Split:
    return load_test_data("mnist", DATA)


@pytest.fixture(scope="session")
def released() -> Checkpoint:
    return load_checkpoint(RELEASED)


@pytest.fixture(scope="session")
def reference(released: Checkpoint, test_data: Split, training_data: TrainingData) -> Reference:
    return make_reference(released, test_data, training_data)


@pytest.fixture(scope="session")
def cnn_reference(test_data: Split, training_data: TrainingData) -> Reference:
    """The released CNN on 200 test images: enough to see that something works for convolutions too."""
    part = Split(test_data.images[:200], test_data.labels[:200])
    return make_reference(load_checkpoint(RELEASES["cnn"]), part, training_data)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of this run share."""
    temporary = tmp_path_factory.getbasetemp()
    return temporary if worker_id == "master" else temporary.parent


def made_once(shared_folder: Path, name: str, make: Callable[[Path], T]) -> T:
    """Return what one of the processes that run the tests made, in a folder of this name, and the others read."""
    record, lock, folder = (shared_folder / f"{name}{suffix}" for suffix in (".pickle", ".lock", ""))
    for path in (lock, folder):
        path.mkdir(exist_ok=True)
    with locked(lock):
        if not record.exists():
            atomic_write(record, pickle.dumps(make(folder)))
    made: T = pickle.loads(record.read_bytes())
    return made


@pytest.fixture(scope="session")
def exported(reference: Reference, shared_folder: Path) -> list[Artifact]:
    """The released checkpoint in every format and precision. Tests only read these files.

    The reference knows from then on what the exporters gave, as it does in the process that called them.
    """
    precisions = [name for name in Precision if any(name in spec.precisions for spec in INSTALLED)]
    settings = ExportSettings(INSTALLED, precisions)

    def export(folder: Path) -> tuple[list[Artifact], Programs]:
        return export_artifacts(reference, settings, folder), reference.programs

    artifacts, programs = made_once(shared_folder, "exported", export)
    reference.programs.update(programs)
    return artifacts


@pytest.fixture(scope="session")
def exports(exported: list[Artifact]) -> Path:
    """The folder that holds them."""
    return exported[0].path.parent


@pytest.fixture(scope="session")
def reports(exported: list[Artifact], reference: Reference, shared_folder: Path) -> dict[str, ParityReport]:
    """A report on each exported file."""
    paths = [artifact.path for artifact in exported]
    return made_once(shared_folder, "reports", lambda _: {path.name: verify_path(path, reference) for path in paths})


@pytest.fixture
def reference_at_hand(
    reference: Reference,
    exported: list[Artifact],  # noqa: ARG001 - with which the reference knows what exporters give
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Give commands the reference of the released checkpoint as it is here, which saves them exporting it again."""
    load = parity.reference.load_reference
    monkeypatch.setattr(
        parity.reference,
        "load_reference",
        lambda checkpoint, *others: reference if checkpoint == RELEASED else load(checkpoint, *others),
    )


@pytest.fixture(scope="session")
def broken(exports: Path, reference: Reference, shared_folder: Path) -> dict[str, ParityReport]:
    """Reports on damaged files."""
    model = (exports / "mnist-mlp.onnx").read_bytes()
    return made_once(shared_folder, "broken", lambda folder: broken_reports(model, reference, folder))


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard() -> None:
    """A shell has what it starts with `&` ignore Ctrl-C, and so would the programs that the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def threads_are_left_alone() -> Iterator[None]:
    """Fail a test after which torch's global number of threads is another."""
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before
