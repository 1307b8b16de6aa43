"""The cards of the built-in models and the README's tables of figures say what was measured of these files."""

import importlib
import re
from types import ModuleType

import pytest
import yaml

from mnist_edge.artifact.checksum import sha256
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from tests.conftest import RELEASES, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
FORMATS_PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.fixture
def model_cards(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("model_cards")


@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_the_figures_are_of_these_files(name: str, model_cards: ModuleType) -> None:
    measured = model_cards.read_measured()[name]
    assert measured["trained"]["sha256"] == sha256(RELEASES[name].read_bytes()), "run `make model-cards`"
    assert measured["files"]["int8"]["sha256"] == sha256(BUILTIN_MODELS[name].read_bytes()), "run `make model-cards`"


@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_a_card_is_what_the_script_writes(name: str, model_cards: ModuleType) -> None:
    assert model_cards.card_path(name) == RELEASES[name].with_suffix(".md")
    card = model_cards.card_path(name).read_text(encoding="utf-8")
    assert card == model_cards.card(name), "run `make model-cards`"
    nothing, front_matter, text = card.split("---\n", 2)
    fields = yaml.safe_load(front_matter)
    assert nothing == ""
    assert fields["license"] == "apache-2.0"
    assert fields["pipeline_tag"] == "image-classification"
    ((result,),) = (model["results"] for model in fields["model-index"])
    file = model_cards.read_measured()[name]["files"]["int8"]
    assert result["metrics"] == [{"type": "accuracy", "value": file["correct"] / file["images"]}]
    assert re.findall("^## (.+)$", text, re.MULTILINE) == ["Use", "Figures", "Data", "Recipe", "Limits"]
    assert file["sha256"] in text
    assert not re.search("^ |{{|None", text.split("## Use")[0], re.MULTILINE)


@pytest.mark.parametrize("precision", Precision)
def test_the_pages_say_at_which_batch_sizes_files_are_judged(precision: Precision, model_cards: ModuleType) -> None:
    having = [(spec, scheme) for spec in FORMATS.values() for scheme in spec.schemes_of(precision)]
    said = model_cards.judged_at(precision)
    assert {spec.batches(scheme) for spec, scheme in having} == {
        tuple(int(batch.replace(",", "")) for batch in re.findall(r"[\d,]*\d", part)) for part in said.split(" (")
    }
    (row,) = re.findall(rf"^\| {precision} \|.* \| (.+) \|$", FORMATS_PAGE, re.MULTILINE)
    assert row == said


def test_the_readme_has_the_tables(model_cards: ModuleType) -> None:
    blocks = importlib.import_module("readme_blocks")
    for name, table in (("parity", model_cards.parity_table()), ("built-in", model_cards.builtin_table())):
        assert blocks.with_block(README, name, table) == README, "run `make model-cards`"
    with pytest.raises(ValueError, match="expected <!-- other --> and <!-- /other --> once each"):
        blocks.with_block(README, "other", "")
