"""What is read in a TorchScript archive: structure, stored weights, intermediate values, the program alone."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.archives import pack_archive
from mnist_edge.formats.build import (
    Inspection,
    Intermediates,
    LayerIO,
    ModelSummary,
    StoredTensor,
    float_tensor,
    int8_tensor,
)
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import Precision
from mnist_edge.formats.torchscript.archive import read_archive
from mnist_edge.formats.torchscript.runner import SESSION
from mnist_edge.formats.torchscript.tensors import largest_of_most_floats
from mnist_edge.sandbox.client import Session, open_session
from mnist_edge.types import AnyArray, Images, Logits


def inspect(bundle: Bundle, runner: Runner) -> Inspection:
    """Return what can be read in a TorchScript archive; see `mnist_edge.formats.build.Inspector`."""
    with closing(_open(bundle)) as session:
        operators = session.call("operators")[0]["operators"]
        types, weights = _stored_tensors(session)
    precision = Precision.INT8 if any(name.startswith("quantized::") for name in operators) else Precision.FP32
    stated = runner.contract.precision
    shapes = {name: (types[name], tensor.dequantized.shape) for name, tensor in weights.items()}
    problems = [] if precision == stated else [f"the module's weights are {precision}, its contract says {stated}"]
    if not problems and stated == Precision.INT8 and (largest := largest_of_most_floats(shapes)) is not None:
        problems.append(f"most weights in the module's matrices, such as {largest}, are fp32, its contract says int8")
    return Inspection(
        summary=ModelSummary(
            operators=operators,
            parameters=sum(tensor.dequantized.size for name, tensor in weights.items() if "running_" not in name),
            tensors=shapes,
        ),
        weights=weights,
        problems=tuple(problems),
    )


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return an archive without its metadata; see `mnist_edge.formats.build.Inspector`."""
    return {name: data for name, data in read_archive(bundle.data).items() if not name.startswith("extra/")}


def open_intermediates(bundle: Bundle, names: tuple[str, ...]) -> Intermediates:
    """Open an archive so that its layers can be seen; see `mnist_edge.formats.build.Inspector`."""
    session = _open(bundle)
    try:
        layers = session.call("open_layers", {"names": list(names)})[0]["layers"]
        _, tensors = _stored_tensors(session)
    except ArtifactError:
        session.close()
        raise

    def run(images: Images) -> tuple[dict[str, LayerIO], Logits]:
        _, arrays = session.call("run_layers", arrays={"images": images})
        return {name: LayerIO(arrays[f"{name} input"], arrays[f"{name} output"]) for name in names}, arrays["logits"]

    weights = {name: found for name in names if (found := _layer_weights(layers[name], tensors))}
    return Intermediates(run, weights, session.close)


def _open(bundle: Bundle) -> Session:
    return open_session(SESSION, pack_archive(read_archive(bundle.data)))


def _stored_tensors(session: Session) -> tuple[dict[str, str], dict[str, StoredTensor]]:
    """Return the element types of the stored tensors, and the tensors, by name."""
    reply, arrays = session.call("tensors")
    types: dict[str, str] = reply["types"]
    try:
        return types, {name: _stored_tensor(name, arrays) for name in types}
    except (KeyError, ValueError) as error:
        raise ArtifactError("its weights cannot be read") from error


def _stored_tensor(name: str, arrays: Mapping[str, AnyArray]) -> StoredTensor:
    if f"{name} scale" not in arrays:
        return float_tensor(arrays[name])
    return int8_tensor(arrays[name], arrays[f"{name} scale"], arrays[f"{name} zero_point"], axis=0)


def _layer_weights(stored: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> tuple[AnyArray, AnyArray] | None:
    """Return a layer's weight, dequantized and with batch normalization folded in, and its bias; None if unknown."""
    if stored["weight"] not in tensors:
        return None
    weight = torch.from_numpy(tensors[stored["weight"]].dequantized.copy())
    bias = torch.from_numpy(tensors[stored["bias"]].dequantized.copy()) if stored["bias"] in tensors else None
    if stored["norm"]:
        scale, shift, mean, variance = (  # the first two are None where the normalization has learned nothing
            torch.from_numpy(tensors[name].dequantized.copy()) if name in tensors else None for name in stored["norm"]
        )
        if mean is None or variance is None:
            return None
        weight, bias = fuse_conv_bn_weights(weight, bias, mean, variance, stored["epsilon"], scale, shift)
    flat = np.zeros(len(weight), np.float32) if bias is None else bias.detach().numpy()
    return weight.detach().numpy(), flat
