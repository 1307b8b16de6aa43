from pathlib import Path

from mnist_edge.cli.artifacts import expand
from tests.conftest import ROOT


def test_what_lies_beside_artifacts_in_the_folder_of_a_checkout_is_passed_over() -> None:
    """`verify exports/*` names it too."""
    beside = [ROOT / "exports" / "README.md", ROOT / "exports" / "manifest.json"]
    assert beside[0].exists()
    assert expand([Path("exports/a.onnx"), *beside]) == [Path("exports/a.onnx")]
