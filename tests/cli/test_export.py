from typing import cast

import pytest

from mnist_edge.cli.export import _without_refused
from mnist_edge.errors import UserError
from mnist_edge.exporting import pipeline
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference


def test_a_target_is_refused_where_the_formats_that_it_runs_cannot_hold_the_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "refusals", lambda *_: {"c": "it has a residual"})
    reference = cast("Reference", None)  # which nothing but `refusals` reads
    formats = [FORMATS["onnx"], FORMATS["c"]]
    left = _without_refused(ExportSettings(formats, targets=("aarch64",)), reference, ("aarch64",))
    assert (left.formats, left.targets) == ([FORMATS["onnx"]], ("aarch64",))
    assert capsys.readouterr().err == "c is left out: it has a residual\n"
    for targets in (("cortex-m4",), ("aarch64", "cortex-m4")):
        with pytest.raises(UserError, match="cortex-m4 runs c files alone: expected one of aarch64, all"):
            _without_refused(ExportSettings(formats, targets=targets), reference, targets)
    with pytest.raises(UserError, match="none of these formats runs on emulated devices: leave out --target"):
        _without_refused(ExportSettings([FORMATS["torchscript"], FORMATS["c"]]), reference, ("all",))
