"""An ncnn model, run by ncnn in a sandbox after its text was checked."""

from functools import partial

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.ncnn.files import MAX_BYTES, PARAM, WEIGHTS, check_param, pack
from mnist_edge.formats.runner import Runner, check_shape
from mnist_edge.formats.sandboxed import predict, predict_batches, time_calls
from mnist_edge.sandbox.client import Session, open_session
from mnist_edge.types import Images

SESSION = "mnist_edge.formats.ncnn.session"


def open_runner(bundle: Bundle) -> Runner:
    """Open a folder.

    Raises:
        ArtifactError: a file is missing or not as an export writes it, ncnn can't load it, or it carries no contract
            that is understood here.
    """
    metadata = bundle.sidecar_metadata()
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    session = open_model(bundle)
    shape = contract.task.input.shape
    return Runner(
        contract,
        metadata,
        lambda images: predict(session, _checked(images, shape)),
        close=session.close,
        predict_batches=lambda images, batch: predict_batches(session, _checked(images, shape), batch),
        time_calls=partial(time_calls, session),
    )


def open_model(bundle: Bundle) -> Session:
    """Open the model of a folder; raises `ArtifactError` where that can't be done."""
    for name in (PARAM, WEIGHTS):
        if name not in bundle.files:
            raise ArtifactError(f"it holds no {name}")
    if bundle.size > MAX_BYTES:
        raise ArtifactError(f"it has more than {MAX_BYTES >> 20} MiB")
    try:
        param = bundle.files[PARAM].decode("ascii")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"its {PARAM} is damaged") from error
    check_param(param)
    return open_session(SESSION, pack(param, bundle.files[WEIGHTS]))


def _checked(images: Images, shape: tuple[int, ...]) -> Images:
    """Return images if they fit: ncnn reads past the end of smaller ones, and its ReLU makes 0 of NaN."""
    check_shape(images, shape)
    if not np.isfinite(images).all():
        raise ArtifactError("it takes numbers that are finite")
    return images
