from pathlib import Path

import pytest
from click.testing import CliRunner

from mnist_edge.cli import main
from mnist_edge.formats.base import FormatSpec
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS


def test_where_no_model_can_be_run_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FormatSpec, "missing_to_run", lambda _: ["onnxruntime"])
    result = CliRunner().invoke(main, ["benchmark"])
    assert (result.exit_code, result.stdout) == (1, "")
    *left_out, error = result.stderr.splitlines()
    assert [line.split(" is left out")[0] for line in left_out] == list(map(str, BUILTIN_MODELS.values()))
    assert error == "Error: nothing can be measured: install what is missing, or name a file that can be run here"
