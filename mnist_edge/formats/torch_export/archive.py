"""A `torch.export` archive as text: its members and the operators of its graph, read before anything is loaded.

Loading one evaluates expressions, unpickles sample inputs and looks operators up by name. So only archives pass whose
graph calls operators on a short list, whose expressions are plain symbols, and which hold no pickles: torch is given
the members that were checked, packed again, and sample inputs of our own.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.archives import METADATA_MEMBERS, read_members

OPERATORS = frozenset(
    f"torch.ops.aten.{name}"
    for name in (
        *("linear.default", "conv2d.default", "conv2d.padding", "batch_norm.default", "layer_norm.default"),
        *("group_norm.default", "dropout.default", "feature_dropout.default", "addmm.default", "matmul.default"),
        *("t.default", "relu.default", "relu_.default", "sigmoid.default", "tanh.default", "gelu.default"),
        *("silu.default", "hardtanh.default", "leaky_relu.default", "softmax.int", "log_softmax.int"),
        *("max_pool2d.default", "max_pool2d_with_indices.default", "avg_pool2d.default"),
        *("adaptive_avg_pool2d.default", "mean.dim"),
        *("flatten.using_ints", "reshape.default", "view.default", "to.dtype", "add.Tensor", "add_.Tensor"),
        *("mul.Tensor", "cat.default", "sym_size.int"),
        *("hardswish.default", "hardsigmoid.default", "elu.default", "selu.default", "prelu.default", "mish.default"),
        *("softplus.default", "hardtanh_.default", "hardswish_.default", "leaky_relu_.default", "silu_.default"),
        *("elu_.default", "instance_norm.default", "sub.Tensor", "div.Tensor", "mul_.Tensor", "neg.default"),
        *("amax.default", "sum.dim_IntList", "squeeze.dim", "squeeze.dims", "unsqueeze.default", "permute.default"),
        *("adaptive_max_pool2d.default", "adaptive_avg_pool1d.default", "conv1d.default", "clamp.default"),
        *("conv1d.padding", "max_pool1d.default", "avg_pool1d.default", "adaptive_max_pool1d.default"),
        *("clamp_min.default", "clamp_max.default", "pow.Tensor_Scalar", "sqrt.default", "rsqrt.default"),
        *("abs.default", "expand.default", "expand_as.default", "unflatten.int", "pixel_unshuffle.default"),
        *("dropout_.default", "feature_dropout_.default", "hardsigmoid_.default", "sigmoid_.default", "tanh_.default"),
        *("chunk.default", "split.Tensor", "split_with_sizes.default"),
        *("celu.default", "log_sigmoid.default", "square.default", "reciprocal.default"),
        *("glu.default", "threshold.default", "hardshrink.default", "softshrink.default", "rrelu.default"),
        *("threshold_.default", "rrelu_.default", "celu_.default", "selu_.default", "mish_.default"),
        *("transpose.int", "contiguous.default", "pad.default", "constant_pad_nd.default", "flatten.default"),
        *("scaled_dot_product_attention.default", "unbind.int", "select.int", "slice.Tensor"),
        *("rsub.Scalar", "exp.default", "log.default", "log1p.default", "expm1.default", "sin.default", "cos.default"),
        *("erf.default", "sign.default", "relu6.default", "clone.default", "detach.default", "pow.Scalar"),
        *("pow.Tensor_Tensor", "minimum.default", "maximum.default", "lerp.Scalar", "lerp.Tensor", "where.self"),
        *("where.ScalarOther", "where.ScalarSelf", "where.Scalar", "masked_fill.Scalar"),
        *("gt.Scalar", "gt.Tensor", "ge.Scalar", "ge.Tensor", "lt.Scalar", "lt.Tensor", "le.Scalar", "le.Tensor"),
        *("sub_.Tensor", "div_.Tensor", "clamp_.default", "clamp_min_.default", "clamp_max_.default", "exp_.default"),
        *("neg_.default", "abs_.default", "relu6_.default", "linalg_vector_norm.default", "rms_norm.default"),
        *("var.dim", "var.correction", "std.dim", "std.correction", "var_mean.dim", "var_mean.correction"),
        *("amin.default", "max.dim", "min.dim", "logsumexp.default", "mean.default"),
        *("stack.default", "bmm.default", "mm.default", "numpy_T.default"),
        *("lift_fresh_copy.default", "detach_.default"),
    )
) | {"_operator.mul"}
"""What the graph of an archive may call: layers of small classifiers."""

SAMPLE_INPUTS = "data/sample_inputs/model.pt"
"""The member that holds a pickle; it is replaced before the archive is loaded."""

_GRAPH = "models/model.json"
_WEIGHTS = "data/weights/model_weights_config.json"
_CONSTANTS = "data/constants/model_constants_config.json"
_MEMBER = re.compile(
    rf"data/weights/weight_\d+|data/constants/tensor_\d+|{re.escape(_WEIGHTS)}|{re.escape(_CONSTANTS)}"
    rf"|{re.escape(_GRAPH)}"
    rf"|{re.escape(SAMPLE_INPUTS)}|archive_format|archive_version|byteorder|\.data/version|{METADATA_MEMBERS}"
)
_TENSOR = re.compile(r"tensor_\d+")
"""What constants that are tensors are called: torch unpickles those of other names, whatever their entry says."""
_IMAGES = r"Symbol\('s\d+', positive=True, integer=True\)"
_INTEGER = r"Integer\(\d{1,9}\)"
_MULTIPLE = rf"(?:{_IMAGES}|Mul\({_INTEGER}, {_IMAGES}\))"
_SIZE = re.compile(rf"s\d+|{_MULTIPLE}|(?:Min|Max)\({_INTEGER}, {_MULTIPLE}\)")
"""A number of images, or a multiple of it, as those of the heads of attention; it may be limited by a number."""

MAX_JSON = 4 << 20
"""Most bytes of a JSON member."""


def read_archive(data: bytes) -> dict[str, bytes]:
    """Return the members of an archive by their names without the root folder, all of them checked.

    Raises:
        ArtifactError: it is not such an archive, holds something else, or its graph calls what is not on the list.
    """
    members = read_members(data, _MEMBER)
    _check_graph(_json(members, _GRAPH))
    if not all(_TENSOR.fullmatch(str(entry.get("path_name"))) for entry in _plain_entries(members, _CONSTANTS)):
        raise ArtifactError("it holds constants that are not tensors")
    _plain_entries(members, _WEIGHTS)
    return members


def _json(members: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        data = members[name]
        if len(data) > MAX_JSON:
            raise ValueError("it is too long")
        fields = json.loads(data)
        if not isinstance(fields, dict):
            raise ValueError("it is not an object")
    except (KeyError, ValueError, RecursionError) as error:
        raise ArtifactError(f"its {name} is missing or damaged") from error
    return fields


def _plain_entries(members: Mapping[str, bytes], name: str) -> list[dict[str, Any]]:
    """Return what a list of tensors says of each; raises `ArtifactError` unless it says that they are not pickles."""
    config = _json(members, name).get("config")
    entries = config.values() if isinstance(config, dict) else [None]
    plain = [entry for entry in entries if isinstance(entry, dict) and entry.get("use_pickle") is False]
    if len(plain) < len(entries):
        raise ArtifactError("its weights or constants are pickles")
    return plain


def _check_graph(model: Mapping[str, Any]) -> None:
    """Refuse a program that calls other operators, computes its sizes, or carries code or objects."""
    if model.get("guards_code") != []:
        raise ArtifactError("it carries code that checks its inputs")
    for name, value in _fields(model):
        if name == "target" and not (isinstance(value, str) and value in OPERATORS):
            raise ArtifactError(f"its graph calls {str(value)[:80]!r}, which is not on the list of operators")
        if name == "expr_str" and not (isinstance(value, str) and _SIZE.fullmatch(value)):
            raise ArtifactError(f"its graph computes the size {str(value)[:80]!r}")
        if name in ("custom_obj_values", "treespec_namedtuple_fields", "as_custom_obj", "as_graph") and value:
            raise ArtifactError(f"its graph holds {name}, which no small network needs")


def _fields(model: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every field of nested JSON with its name."""
    remaining: list[Any] = [model]
    while remaining:
        value = remaining.pop()
        if isinstance(value, Mapping):
            yield from value.items()
            remaining.extend(value.values())
        elif isinstance(value, list):
            remaining.extend(value)
