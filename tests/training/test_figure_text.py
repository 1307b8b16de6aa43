"""Labels in figures."""

import pytest

from mnist_edge.training.figure_text import drawable


@pytest.mark.parametrize(
    ("text", "shown"), [("Grün", "Grün"), ("お", "U+304A"), ("a猫", "aU+732B"), ("5$", r"5\$"), ("\n", r"\n")]
)
def test_a_character_without_a_glyph_is_named(text: str, shown: str) -> None:
    assert drawable(text) == shown
