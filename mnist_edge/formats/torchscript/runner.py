"""A TorchScript archive in libtorch. Needs torch."""

import io

import torch

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.base import Runner
from mnist_edge.formats.torchscript.deprecations import without_deprecations
from mnist_edge.types import Images, Logits


def open_runner(bundle: Bundle) -> Runner:
    """Open a TorchScript archive.

    Raises:
        ArtifactError: torch can't load it, or it carries no contract that is understood here.
    """
    extra: dict[str, str | bytes] = {CONTRACT_KEY: "", TEST_VECTORS_KEY: ""}
    module = load_module(bundle.data, extra)
    try:
        metadata = {key: text for key, value in extra.items() if (text := _text(value))}
    except UnicodeDecodeError as error:
        raise ArtifactError("its metadata is damaged") from error
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))

    def predict(images: Images) -> Logits:
        try:
            with torch.inference_mode():
                logits: Logits = module(torch.from_numpy(images)).numpy()
        except RuntimeError as error:
            raise ArtifactError(f"torch cannot run a batch of {len(images)} ({str(error).splitlines()[-1]})") from error
        return logits

    return Runner(contract, metadata, predict)


def load_module(data: bytes, extra: dict[str, str | bytes]) -> torch.jit.ScriptModule:
    """Return the module of an archive, in `eval()`, and fill in its extra files.

    Raises:
        ArtifactError: torch can't load the file.
    """
    try:
        with without_deprecations():
            # Loading int8 weights warns once a process, in C++, past Python's filters: let it warn here instead.
            torch.quantize_per_tensor(torch.zeros(1), scale=1.0, zero_point=0, dtype=torch.qint8)
            module: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(data), map_location="cpu", _extra_files=extra)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"torch cannot load it ({str(error).splitlines()[0]})") from error
    return module.eval()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
