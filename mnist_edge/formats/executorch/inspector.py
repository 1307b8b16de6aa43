"""What is read in a `.pte` file: the program without the texts that it carries."""

from collections.abc import Mapping
from contextlib import closing

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.executorch.runner import open_program


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return a program with blanks in place of its texts; see `mnist_edge.formats.build.Inspector`.

    A text that is not at exactly one place stays: no program that an export writes repeats one, so what is behind the
    first is not the text that a method gives, and differs from the blanks that are expected there.
    """
    with closing(open_program(bundle.data)) as session:
        texts, _ = session.call("texts")
    data = bundle.data
    for text in texts.values():
        found = str(text).encode()
        if data.count(found) == 1:
            data = data.replace(found, b" " * len(found))
    return {"program": data}
