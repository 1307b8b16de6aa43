import dataclasses

import pytest

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.formats.runner import Runner
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS


@pytest.mark.parametrize("wrong", ["checksum", "inputs"])
def test_an_artifact_that_is_refused_is_closed(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    open_here = FormatSpec.open

    def opened(spec: FormatSpec, bundle: Bundle) -> Runner:
        mismatches = ("its inputs differ",) if wrong == "inputs" else ()
        runner = open_here(spec, bundle)
        return dataclasses.replace(runner, mismatches=mismatches, close=lambda: closed.append(wrong))

    def fail(_: Bundle) -> None:
        raise ArtifactError("its checksum is wrong")

    monkeypatch.setattr(FormatSpec, "open", opened)
    if wrong == "checksum":
        monkeypatch.setattr(Bundle, "verify_checksum", fail)
    with pytest.raises(UserError, match=wrong):
        open_artifact(read_artifact(BUILTIN_MODELS["mlp"]))
    assert closed == [wrong]
