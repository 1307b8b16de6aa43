"""A format that lives only in the tests and has every property that the built-in ones lack.

An artifact is a folder; it takes one image at a time; its metadata is in a sidecar; neither weights nor intermediate
values can be read; a full proof would cost too much. It is numpy arrays of an MLP, multiplied in order.
"""

from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.scheme import FLOAT32

FOLDER = FormatSpec(
    name="folder",
    suffix="_folder",
    module="tests.formats.folder_format",
    schemes=(FLOAT32,),
    runs_on="the tests",
    run_packages=("numpy",),
    batch=1,
    max_images=2_000,
    folder=True,
    embeds_metadata=False,
    readable_weights=False,
    intermediates=False,
)
