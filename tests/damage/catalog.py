"""Kinds of damage that an exported ONNX file can suffer, each done by someone who seals the file anew after it.

`ON_FLOATS` are done to the fp32 file, `ON_BYTES` to the int8 one. Damage that leaves the file's bytes no ONNX file, or
that is found by the seal alone, is in `ON_ANYTHING`.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import torch
from numpy.typing import NDArray

from mnist_edge.formats.onnx.quantization import defined_logits
from mnist_edge.parity.comparison import Reference
from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.artifact.test_vectors import GOLDEN_KEY, Golden
from tests.damage import edits
from tests.damage.edits import Edit

Values = NDArray[Any]


def tensor(graph: onnx.ModelProto, name: str) -> onnx.TensorProto:
    found: dict[str, onnx.TensorProto] = {tensor.name: tensor for tensor in graph.graph.initializer}
    return found[name]


def change(name: str, alter: Callable[[Values], Values]) -> Edit:
    """Return the edit that puts other numbers into a tensor."""

    def edit(graph: onnx.ModelProto) -> None:
        found = tensor(graph, name)
        values = onnx.numpy_helper.to_array(found)
        found.CopyFrom(onnx.numpy_helper.from_array(alter(values.copy()).astype(values.dtype), name))

    return edit


def node(graph: onnx.ModelProto, kind: str, number: int = 0) -> onnx.NodeProto:
    found: list[onnx.NodeProto] = [node for node in graph.graph.node if node.op_type == kind]
    return found[number]


def insert(graph: onnx.ModelProto, kind: str, after: str, **attributes: Any) -> None:  # noqa: ANN401
    """Put an operator of one input between the tensor `after` and all that use it."""
    for user in graph.graph.node:
        for place, name in enumerate(user.input):
            if name == after:
                user.input[place] = f"{after}_mutated"
    users = [place for place, user in enumerate(graph.graph.node) if f"{after}_mutated" in user.input]
    graph.graph.node.insert(users[0], onnx.helper.make_node(kind, [after], [f"{after}_mutated"], **attributes))


def smallest_step(reference: Reference, name: str) -> tuple[tuple[int, ...], float]:
    """Return the element of a weight, and the step, about the smallest, that changes the answer to one test image."""
    model = reference.checkpoint.build()
    ordered = np.sort(reference.logits, axis=1)
    index = int(np.argmin(ordered[:, -1] - ordered[:, -2]))
    image = torch.from_numpy(reference.images[index : index + 1])
    first, second = (int(label) for label in np.argsort(-reference.logits[index])[:2])
    weight = model.get_parameter(name)
    logits = model(image)[0]
    gap = logits[first] - logits[second]
    (slope,) = torch.autograd.grad(gap, weight)
    where = np.unravel_index(int(slope.abs().argmax()), slope.shape)
    step = -float(gap.detach()) / float(slope[where])
    place = tuple(map(int, where))
    while _answer(reference, name, place, step, image) == first:
        step *= 1.1
    return place, step


def _answer(reference: Reference, name: str, where: tuple[int, ...], step: float, image: torch.Tensor) -> int:
    model = reference.checkpoint.build()
    with torch.no_grad():
        model.get_parameter(name)[where] += step
        return int(model(image).argmax())


def step_weight(reference: Reference, name: str) -> Edit:
    """Return the edit that takes the smallest step in a weight that changes one answer."""
    where, step = smallest_step(reference, name)

    def alter(values: Values) -> Values:
        values[where] += np.float32(step)
        return values

    return change(name, alter)


def step_byte(reference: Reference, name: str) -> Edit:
    """Return the edit that does the same to the weight in 8 bits, by whole steps of its scale."""
    where, step = smallest_step(reference, name)

    def edit(graph: onnx.ModelProto) -> None:
        scales = onnx.numpy_helper.to_array(tensor(graph, f"{name}_scale")).ravel()
        scale = float(scales[where[0] if scales.size > 1 else 0])
        units = int(np.sign(step)) * max(1, int(np.ceil(abs(step) / scale)))

        def alter(values: Values) -> Values:
            old = int(values[where[::-1]])
            values[where[::-1]] = np.clip(old + units if 0 <= old + units <= 255 else old - units, 0, 255)
            return values

        change(f"{name}_quantized", alter)(graph)

    return edit


def swap_rows(values: Values) -> Values:
    return values[::-1]


def swap_two_outputs(values: Values) -> Values:
    values[..., [3, 8]] = values[..., [8, 3]]
    return values


def transpose_in_place(values: Values) -> Values:
    """Return the same numbers read in the other order, as a converter that mixes up row and column does."""
    return values.reshape(values.shape[::-1]).T


def invert_input(graph: onnx.ModelProto) -> None:
    one = onnx.numpy_helper.from_array(np.ones(1, np.float32), "one")
    graph.graph.initializer.append(one)
    insert(graph, "Neg", "image")
    negated = node(graph, "Neg").output[0]
    for user in graph.graph.node:
        for place, name in enumerate(user.input):
            if name == negated:
                user.input[place] = "inverted"
    graph.graph.node.insert(1, onnx.helper.make_node("Add", [negated, "one"], ["inverted"]))


def scale_input(factor: float) -> Edit:
    def edit(graph: onnx.ModelProto) -> None:
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([factor], np.float32), "factor"))
        for user in graph.graph.node:
            for place, name in enumerate(user.input):
                if name == "image":
                    user.input[place] = "scaled"
        graph.graph.node.insert(0, onnx.helper.make_node("Mul", ["image", "factor"], ["scaled"]))

    return edit


def replace_operator(kind: str, number: int, by: str) -> Edit:
    def edit(graph: onnx.ModelProto) -> None:
        node(graph, kind, number).op_type = by

    return edit


def transpose_image(graph: onnx.ModelProto) -> None:
    insert(graph, "Transpose", "image", perm=[0, 1, 3, 2])


def reword_golden(alter: Callable[[dict[str, object]], object]) -> Edit:
    def edit(graph: onnx.ModelProto) -> None:
        for entry in graph.metadata_props:
            if entry.key == GOLDEN_KEY:
                fields = json.loads(entry.value)
                alter(fields)
                entry.value = json.dumps(fields, sort_keys=True)

    return edit


def forge_golden(alter: Edit) -> Edit:
    """Return the edit that damages the graph and then makes the golden vectors expect it."""

    def edit(graph: onnx.ModelProto) -> None:
        alter(graph)
        for entry in graph.metadata_props:
            if entry.key == GOLDEN_KEY:
                golden = Golden.from_json(entry.value)
                logits = defined_logits(graph, golden.inputs)
                forged = Golden(golden.indices, golden.labels, golden.images, logits, logits, golden.bound)
                entry.value = forged.to_json()

    return edit


def drop_contract_field(name: str) -> Edit:
    def edit(graph: onnx.ModelProto) -> None:
        for entry in graph.metadata_props:
            if entry.key == CONTRACT_KEY:
                fields = json.loads(entry.value)
                del fields[name]
                entry.value = json.dumps(fields, sort_keys=True)

    return edit


FLOAT_WEIGHTS = [f"fc{layer}.{part}" for layer in (1, 2, 3) for part in ("weight", "bias")]
BYTE_WEIGHTS = [f"fc{layer}.weight" for layer in (1, 2, 3)]

ON_FLOATS: dict[str, Edit] = {
    "two outputs swapped": change("fc3.bias", swap_two_outputs),
    "rows of the last layer in the other order": change("fc3.weight", swap_rows),
    "a matrix read in the other order": change("fc2.weight", transpose_in_place),
    "weights rounded to half precision": change("fc1.weight", lambda w: w.astype(np.float16)),
    "weights rounded to two digits": change("fc1.weight", lambda w: w.round(2)),
    "a bias lost": change("fc2.bias", np.zeros_like),
    "a weight that is not a number": change("fc1.weight", lambda w: np.where(w == w.max(), np.nan, w)),
    "a bias that is infinite": change("fc3.bias", lambda b: np.where(b == b.max(), np.inf, b)),
    "all weights of a layer scaled": change("fc3.weight", lambda w: w * 1.01),
    "the first ReLU dropped": replace_operator("Relu", 0, "Identity"),
    "the second ReLU dropped": replace_operator("Relu", 1, "Identity"),
    "a ReLU made a sigmoid": replace_operator("Relu", 0, "Sigmoid"),
    "a ReLU made a leaky one": replace_operator("Relu", 0, "LeakyRelu"),
    "inverted polarity in the graph": invert_input,
    "a range of 0 to 255 in the graph": scale_input(1 / 255),
    "a normalisation that was not trained": scale_input(3.25),
    "the picture on its side": transpose_image,
    "a frozen batch": damage.freeze_batch,
    "another opset": damage.set_opset,
    "labels in another order": damage.set_contract(labels=list("1234567890")),
    "inverted polarity in the contract": damage.set_contract(polarity="black-on-white"),
    "another range in the contract": damage.set_contract(input_range=[0, 255]),
    "another layout in the contract": damage.set_contract(input_layout="NHWC"),
    "another temperature": damage.set_contract(temperature=3.0),
    "another certainty": damage.set_contract(certainty=9.0),
    "another preprocessing": damage.set_contract(preprocessing=99),
    "another precision": damage.set_contract(precision="int8"),
    "another scheme": damage.set_contract(scheme="dynamic-u8"),
    "another checkpoint": damage.set_contract(checkpoint="0" * 64),
    "another licence": damage.set_contract(licence="Proprietary"),
    "a contract of another version": damage.set_contract(version=99),
    "a contract without a checkpoint": drop_contract_field("checkpoint"),
    "no contract": damage.drop_contract,
    "no golden vectors": damage.drop_golden,
    "stale golden vectors": reword_golden(lambda fields: fields.update(labels=[0] * 25)),
    "golden vectors with a wider bound": reword_golden(lambda fields: fields.update(bound=100.0)),
    "a dropped ReLU that the golden vectors expect": forge_golden(replace_operator("Relu", 0, "Identity")),
}

ON_BYTES: dict[str, Edit] = {
    "a scale doubled": change("fc2.weight_scale", lambda scale: scale * 2),
    "a zero point off by one": change("fc1.weight_zero_point", lambda zero: zero + 1),
    "bytes of a weight in the other order": change("fc3.weight_quantized", transpose_in_place),
    "one bit lost in all weights of a layer": change("fc1.weight_quantized", lambda w: w & 0xFE),
    "a ReLU dropped from the int8 file": replace_operator("Relu", 0, "Identity"),
}

ON_ANYTHING: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-1000],
    "empty": lambda _: b"",
    "a flipped bit": lambda data: data[:50_000] + bytes([data[50_000] ^ 4]) + data[50_001:],
    "a byte added": lambda data: data + b"\0",
    "half of it zeros": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
}
