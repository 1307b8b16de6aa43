"""Foreign text, from files and their names, as people may see it."""

import re

MAX_LINE = 1000
"""Characters of a line that quotes foreign text."""

_UNSAFE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0, DEL and C1, which terminals obey; separators of lines; what reverses the text that follows (Unicode standard
annex 9, sections 2.1 to 2.4); and surrogates, which stand for bytes of a name that are not UTF-8 (PEP 383).
"""


def printable(text: str) -> str:
    r"""Return a text on one line, with what a terminal would obey as a Python escape, such as `\n`, `\x1b`, `\u202e`.

    All other characters stay as they are, the backslash too.
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shorten(text: str, limit: int = MAX_LINE) -> str:
    """Return a text of at most `limit` characters, at least 9: one that is longer loses its middle."""
    mark = " [...] "
    if len(text) <= limit:
        return text
    kept = limit - len(mark)
    return text[: kept // 2] + mark + text[kept // 2 - kept :]


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Return a text in lines of at most `width` characters, all but the first indented.

    Lines end between words. A word that is longer than a line, such as a path, goes on after a `/`, `-`, `_` or `.`.
    """
    lines, line = [], ""
    for part in (part for word in re.findall(r"\s*\S+", text) for part in _parts(word, width - len(indent))):
        if len(line) + len(part) > width and line.strip():
            lines.append(line)
            line = indent + part.lstrip()
        else:
            line += part
    return [*lines, line]


def _parts(word: str, width: int) -> list[str]:
    """Return a word with the blanks before it, or the parts of one that is longer than a line."""
    return [word] if len(word.lstrip()) <= width else re.findall(r"[^/\\._-]*[/\\._-]+|[^/\\._-]+", word)


def caption(text: str, limit: int = 60) -> str:
    """Return a text, cut to `limit` characters, for a figure of matplotlib, in which nothing of it is a formula."""
    return shorten(printable(text), limit).replace("$", r"\$")
