from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS, DEFAULT_MODEL, model_path


def test_the_built_in_models_are_there() -> None:
    assert set(BUILTIN_MODELS) == {"mlp", "cnn"}
    assert all(path.is_file() for path in BUILTIN_MODELS.values())
    assert BUILTIN_MODELS["mlp"] == DEFAULT_MODEL


def test_a_model_is_a_name_or_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {name: model_path(name) for name in BUILTIN_MODELS} == BUILTIN_MODELS
    for path in ("missing.onnx", "exports/mlp", tmp_path):
        assert model_path(path) == Path(path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert model_path("folder") == Path("folder")


@pytest.mark.parametrize(("name", "meant"), [("mpl", "; did you mean mlp?"), ("resnet", ""), ("", "")])
def test_a_name_that_is_not_known_gets_the_names_that_are(name: str, meant: str) -> None:
    with pytest.raises(UserError) as caught:
        model_path(name)
    assert str(caught.value) == (
        f"there is no model {name!r}: expected a built-in one (mlp, cnn) or an exported file{meant}"
    )
