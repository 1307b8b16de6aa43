"""What is read in a `.pte` file: the program without the texts that it carries."""

from collections.abc import Mapping

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.executorch.runner import open_program


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return a program with blanks in place of its texts; see `mnist_edge.formats.build.Inspector`."""
    session = open_program(bundle.data)
    try:
        texts, _ = session.call("texts")
    finally:
        session.close()
    data = bundle.data
    for text in texts.values():
        data = data.replace(str(text).encode(), b"")
    return {"program": data}
