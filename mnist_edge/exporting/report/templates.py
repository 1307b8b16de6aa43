"""The templates of the pages, filled in so that no text in them is markup. Needs jinja2."""

import jinja2

from mnist_edge.text import printable


def _inserted(value: object) -> object:
    """Return what the page shows of a value; text that is escaped already stays `Markup`."""
    return type(value)(printable(value)) if isinstance(value, str) else value


TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("mnist_edge.exporting.report", "."),
    autoescape=True,
    finalize=_inserted,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
"""The templates of this folder."""
