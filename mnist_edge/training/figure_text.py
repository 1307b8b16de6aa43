"""Foreign text in figures: what the font has no glyph for is named, not drawn as an empty box."""

from functools import cache

from mnist_edge.text import caption, printable


def drawable(text: str, limit: int = 60) -> str:
    """Return a text as `caption` does, with `U+304A` in place of a character that the font of figures lacks."""
    known = _known()
    shown = (character if ord(character) in known else f"U+{ord(character):04X}" for character in printable(text))
    return caption("".join(shown), limit)


@cache
def _known() -> frozenset[int]:
    """Return the code points of the characters that the font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())
