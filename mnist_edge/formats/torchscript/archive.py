"""A TorchScript archive as text: its members and the operators of its code, read before anything is loaded.

A TorchScript file is a program: operators such as `aten::save` write files, and loops need not end. So only archives
pass whose code consists of calls of operators on a short list, in the plain form in which torch writes it, and of
which torch is given nothing but the members that were checked, packed again.
"""

import ast
import re
from collections.abc import Mapping

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.archives import METADATA_MEMBERS, read_members

OPERATORS = frozenset(
    {
        *("torch._convolution", "torch.conv2d", "torch.linear", "torch.addmm", "torch.matmul", "torch.t"),
        *("torch.batch_norm", "torch.layer_norm", "torch.group_norm", "torch.dropout"),
        *("torch.relu", "torch.relu_", "torch.sigmoid", "torch.tanh", "torch.gelu", "torch.silu", "torch.hardtanh"),
        *("torch.leaky_relu", "torch.softmax", "torch.log_softmax"),
        *("torch.max_pool2d", "torch.avg_pool2d", "torch.adaptive_avg_pool2d", "torch.mean"),
        *("torch.flatten", "torch.reshape", "torch.view", "torch.to", "torch.add", "torch.add_", "torch.mul"),
        *("torch.hardswish", "torch.hardsigmoid", "torch.elu", "torch.selu", "torch.prelu", "torch.mish"),
        *("torch.softplus", "torch.hardtanh_", "torch.hardswish_", "torch.leaky_relu_", "torch.silu_", "torch.elu_"),
        *("torch.instance_norm", "torch.feature_dropout", "torch.sub", "torch.div", "torch.mul_", "torch.neg"),
        *("torch.amax", "torch.sum", "torch.squeeze", "torch.unsqueeze", "torch.permute", "torch.transpose"),
        *("torch.contiguous", "torch.pad", "torch.constant_pad_nd", "torch.max_pool2d_with_indices"),
        *("torch.adaptive_max_pool2d", "torch.adaptive_avg_pool1d", "torch.conv1d", "torch._convolution_mode"),
        *("torch.max_pool1d", "torch.max_pool1d_with_indices", "torch.avg_pool1d", "torch.adaptive_max_pool1d"),
        *("torch.clamp", "torch.clamp_min", "torch.clamp_max", "torch.pow", "torch.sqrt", "torch.rsqrt", "torch.abs"),
        *("torch.expand", "torch.expand_as", "torch.unflatten", "torch.pixel_unshuffle", "torch.celu"),
        *("torch.dropout_", "torch.feature_dropout_", "torch.hardsigmoid_", "torch.sigmoid_", "torch.tanh_"),
        *("torch.chunk", "torch.split", "torch.split_with_sizes"),
        *("torch.floor_divide", "torch.log_sigmoid", "torch.softsign", "torch.square", "torch.reciprocal"),
        *("torch.glu", "torch.threshold", "torch.hardshrink", "torch.softshrink", "torch.rrelu"),
        *("torch.threshold_", "torch.rrelu_", "torch.celu_", "torch.selu_", "torch.mish_"),
        *("torch.scaled_dot_product_attention", "torch.unbind", "torch.select", "torch.slice"),
        *("torch.rsub", "torch.exp", "torch.log", "torch.log1p", "torch.expm1", "torch.sin", "torch.cos", "torch.erf"),
        *("torch.sign", "torch.relu6", "torch.clone", "torch.detach", "torch.minimum", "torch.maximum", "torch.lerp"),
        *("torch.where", "torch.masked_fill", "torch.gt", "torch.ge", "torch.lt", "torch.le"),
        *("torch.sub_", "torch.div_", "torch.clamp_", "torch.clamp_min_", "torch.clamp_max_", "torch.exp_"),
        *("torch.neg_", "torch.abs_", "torch.relu6_", "torch.linalg_vector_norm", "torch.rms_norm"),
        *("torch.var", "torch.std", "torch.var_mean", "torch.amin", "torch.max", "torch.min", "torch.logsumexp"),
        *("torch.stack", "torch.bmm", "torch.mm", "torch.numpy_T"),
        *("torch.cat", "torch.size", "torch.eq", "ops.prim.NumToTensor", "ops.prim.RaiseException"),
        *("ops.quantized.linear_dynamic", "ops.quantized.linear_prepack", "ops.quantized.linear_unpack"),
        *("ops.quantized.linear_prepack_fp16", "ops.quantized.linear_unpack_fp16"),
    }
)
"""What the code of an archive may call: layers of small classifiers, and how torch packs quantized weights."""

_FUNCTIONS = frozenset({"getattr", "uninitialized", "annotate", "int"})
_METHODS = re.compile(r"forward\d*|_weight_bias|set_weight_bias|__getstate__|__setstate__", re.ASCII)
"""Torch calls the second use of a layer in a network `forward1`."""

MAX_CODE = 1 << 20
"""Most bytes of all code of an archive."""

MAX_NESTING = 30
"""Deepest brackets in the code."""

_MEMBER = re.compile(
    r"data\.pkl|constants\.pkl|version|byteorder|\.data/version|(?:data|constants)/\d+"
    r"|code/__torch__(?:/\w+)*\.py"
    rf"|{METADATA_MEMBERS}"
)
_CHARACTERS = re.compile(r'[\w\s.,:()\[\]"=>!+-]*', re.ASCII)
_CALL = re.compile(r"[A-Za-z_][\w.]*(?=\()", re.ASCII)
LAYER_NAME = re.compile(r"[\w .!-]*", re.ASCII)
"""The name of a layer, or of a parameter, that the code may hold."""
_STRING = re.compile(f'"{LAYER_NAME.pattern}"', re.ASCII)

_NODES = (
    *(ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AnnAssign, ast.Return),
    *(ast.Expr, ast.If, ast.Pass, ast.Call, ast.Attribute, ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Subscript),
    *(ast.UnaryOp, ast.USub, ast.Load, ast.Store, ast.keyword),
)


def read_archive(data: bytes) -> dict[str, bytes]:
    """Return the members of an archive by their names without the root folder, all of them checked.

    Raises:
        ArtifactError: it is not such an archive, holds something else, or its code calls what is not on the list.
    """
    members = read_members(data, _MEMBER)
    _check_code({name: text for name, text in members.items() if name.startswith("code/")})
    return members


def _check_code(code: Mapping[str, bytes]) -> None:
    """Refuse code that is not in the form in which torch writes the code of a network, or calls something else."""
    if sum(map(len, code.values())) > MAX_CODE:
        raise ArtifactError("it holds too much code")
    for name, data in code.items():
        try:
            text = data.decode("ascii")
        except UnicodeDecodeError as error:
            raise ArtifactError(f"its code in {name[:80]} is not plain text") from error
        _check_form(name, text)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ArtifactError(f"its code in {name[:80]} cannot be read") from error
        for node in ast.walk(tree):
            _check_node(node, name)
        _check_self(tree, name)


def _check_form(name: str, text: str) -> None:
    """Allow only characters that Python and TorchScript read alike, and brackets that are not nested deeply."""
    plain = _STRING.sub("", text)
    if not _CHARACTERS.fullmatch(text) or '"' in plain:
        raise ArtifactError(
            f"its code in {name[:80]} holds other characters than those of plain names and of calls{_place(plain)}"
        )
    depth = deepest = 0
    for character in plain:
        depth += (character in "([") - (character in ")]")
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        raise ArtifactError(f"its code in {name[:80]} is nested too deeply")


def _place(plain: str) -> str:
    """Return the call before the first other character of code without plain strings, on its line, if there is one."""
    before, *_ = re.split(r"[^\w\s.,:()\[\]=>!+-]", plain, maxsplit=1, flags=re.ASCII)
    calls = _CALL.findall(before.rpartition("\n")[2])
    return f", in a call of {calls[-1][:80]}" if calls else ""


def _check_node(node: ast.AST, name: str) -> None:
    if not isinstance(node, _NODES) or (isinstance(node, ast.ClassDef) and node.keywords):
        raise ArtifactError(f"its code in {name[:80]} holds a {type(node).__name__}, which no small network needs")
    if not isinstance(node, ast.Call):
        return
    called = _dotted(node.func)
    root, _, rest = called.partition(".")
    if root in ("torch", "ops"):
        allowed = called in OPERATORS
    elif not rest:
        allowed = called in _FUNCTIONS
    else:
        method = _METHODS.fullmatch(called.rpartition(".")[2])
        allowed = root != "__torch__" and method is not None and not re.fullmatch(r"self\.forward\d*", called)
    if not allowed or not all(isinstance(each.value, ast.Constant) and root == "torch" for each in node.keywords):
        raise ArtifactError(f"its code calls {called[:80]}, which is not on the list of operators of small networks")


def _check_self(tree: ast.AST, name: str) -> None:
    """Let a module use itself for its attributes alone, so that none of its methods can call another.

    Methods that call one another twice each take twice as long with each.
    """
    attributes = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            attributes.add(id(node.value))
        elif isinstance(node, ast.Call) and _dotted(node.func) == "getattr" and node.args:
            attributes.add(id(node.args[0]))
        elif isinstance(node, ast.FunctionDef) and [each.arg for each in node.args.args][:1] != ["self"]:
            raise ArtifactError(f"its code in {name[:80]} holds a function, which is not on the list")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "self" and id(node) not in attributes:
            raise ArtifactError(f"its code in {name[:80]} uses a module as a value")


def _dotted(node: ast.expr) -> str:
    """Return the name that is called, with a dot for what is computed."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""
