"""What the build machine reads in a page."""

from collections.abc import Mapping

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.page.document import read_module, without_metadata


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return the module and all of the page around it; see `mnist_edge.formats.build.Inspector`."""
    return {"module": read_module(bundle.data), "page": without_metadata(bundle.data)}
