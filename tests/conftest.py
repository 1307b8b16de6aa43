import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mnist_edge.atomic import atomic_write, locked
from mnist_edge.exporting.pipeline import Artifact, ExportSettings, export_artifacts
from mnist_edge.formats.base import Precision
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference, make_reference
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint
from mnist_edge.training.datasets.registry import load_test_data, load_training_data
from mnist_edge.training.datasets.splits import Split, TrainingData

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data"
RELEASES = {name: ROOT / "release" / f"mnist-{name}.safetensors" for name in ("mlp", "cnn")}
RELEASED = RELEASES["mlp"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the pages: they take longest, and one process runs a file, so that all others would wait for it."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


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
def exported(reference: Reference, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> list[Artifact]:
    """The released checkpoint in every format and precision. Tests only read these files.

    They are made once, also where several processes run the tests.
    """
    temporary = tmp_path_factory.getbasetemp()
    shared = temporary if worker_id == "master" else temporary.parent
    folder, record = shared / "exported", shared / "exported.pickle"
    with locked(shared):
        if not record.exists():
            precisions = [name for name in Precision if any(name in spec.precisions for spec in FORMATS.values())]
            settings = ExportSettings(list(FORMATS.values()), precisions)
            atomic_write(record, pickle.dumps(export_artifacts(reference, settings, folder)))
    artifacts: list[Artifact] = pickle.loads(record.read_bytes())
    return artifacts


@pytest.fixture(scope="session")
def exports(exported: list[Artifact]) -> Path:
    """The folder that holds them."""
    return exported[0].path.parent


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
