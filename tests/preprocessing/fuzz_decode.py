"""Feed the decoder and the steps after it with what atheris makes of a folder of pictures, led by the lines it reaches.

python -m tests.preprocessing.fuzz_decode FOLDER -max_total_time=60
"""

import sys

import atheris

with atheris.instrument_imports(include=["mnist_edge", "PIL"]):
    from PIL import (  # noqa: F401 - imported here, so that they are instrumented
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    from mnist_edge.errors import NoDigitError, PictureError
    from mnist_edge.preprocessing.decode import decode
    from mnist_edge.preprocessing.mnist_v3 import preprocess


def read(data: bytes) -> None:
    """Read a picture to the end, or fail as expected; any other exception is a finding."""
    try:
        preprocess(decode(data))
    except (PictureError, NoDigitError) as error:
        if not str(error).isprintable():
            raise ValueError("the message is not one clear line") from error


if __name__ == "__main__":
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()
