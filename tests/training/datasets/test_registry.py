import subprocess
import sys
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.training.datasets.registry import DATASETS, DEFAULT_DATASET, load_test_data, load_training_data
from mnist_edge.training.datasets.splits import Split
from tests.conftest import DATA


def test_each_data_set_is_under_the_name_of_its_task() -> None:
    assert [spec.task.name for spec in DATASETS.values()] == list(DATASETS)
    assert DEFAULT_DATASET in DATASETS


def test_a_data_set_is_loaded_by_its_name(test_data: Split) -> None:
    loaded = load_test_data("mnist", DATA)
    assert loaded.images.equal(test_data.images)
    assert loaded.labels.equal(test_data.labels)


@pytest.mark.parametrize("load", [load_training_data, load_test_data])
def test_an_unknown_data_set_is_one_line(load: object, tmp_path: Path) -> None:
    assert callable(load)
    with pytest.raises(UserError, match="unknown data set 'emnist': expected one of mnist"):
        load("emnist", tmp_path)


def test_the_registry_imports_no_pytorch() -> None:
    code = "import sys, mnist_edge.training.datasets.registry; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
