"""The catalog of damage: each kind with the checks that must find it, so that no test passes for the wrong reason.

Everything that changes what an ONNX file says or computes is done by someone who embeds a new checksum after it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx.numpy_helper
import torch

from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY, TestVectors
from mnist_edge.formats.onnx.reference import reference_logits
from mnist_edge.parity.reference import Reference
from mnist_edge.types import AnyArray
from tests.damage import edits
from tests.damage.edits import Edit, change, replace_operator, set_contract, set_test_vectors, tampered

FP32, INT8 = "mnist-mlp.onnx", "mnist-mlp-int8.onnx"

DYNAMIC = "dynamic-int8.onnx"
"""A file in the scheme `dynamic-u8-channel`, which is not the one that is exported."""


@dataclass(frozen=True)
class Damage:
    """A kind of damage.

    Attributes:
        file: what is damaged.
        alter: its bytes, and the trained model's answers → its bytes after the damage.
        codes: of the checks that must fail; besides them only checks that depend on the answers may.
        on_device: whether the device can find it, without the checkpoint: it does not see what only the contract says,
            nor what moves no logit of the test vectors by more than their bound. None where that depends on the model.
    """

    file: str
    alter: Callable[[bytes, Reference], bytes]
    codes: frozenset[str]
    on_device: bool | None = True


def _fp32(edit: Edit, *codes: str, on_device: bool | None = True) -> Damage:
    return Damage(FP32, lambda data, _: tampered(data, edit), frozenset(codes), on_device)


def _int8(edit: Edit, *codes: str, file: str = INT8) -> Damage:
    return Damage(file, lambda data, _: tampered(data, edit), frozenset(codes))


def _raw(file: str, alter: Callable[[bytes], bytes], *codes: str) -> Damage:
    """Damage to the bytes, by something that does not know what they are."""
    return Damage(file, lambda data, _: alter(data), frozenset(codes))


def _changing_the_program(entries: dict[str, Damage]) -> dict[str, Damage]:
    """Return entries that `program` must find too: the file is not what the exporter writes."""
    return {name: replace(damage, codes=damage.codes | {"program"}) for name, damage in entries.items()}


def _step(file: str, name: str) -> Damage:
    step = step_weight if file == FP32 else step_int8_weight
    codes = frozenset({"weights", "batch_1"} if file == FP32 else {"weights"})
    return Damage(file, lambda data, reference: tampered(data, step(reference, name)), codes, on_device=None)


def swap_two_outputs(values: AnyArray) -> AnyArray:
    values[..., [3, 8]] = values[..., [8, 3]]
    return values


def transpose_in_place(values: AnyArray) -> AnyArray:
    """Return the same numbers read in the other order, as a converter that mixes up row and column does."""
    return values.reshape(values.shape[::-1]).T


def invert_input(model: onnx.ModelProto) -> None:
    edits.add_constant(model, "minus_one", np.array([-1], np.float32))
    edits.insert_after(model, "image", "Add", "minus_one")
    edits.insert_after(model, "image_after_Add", "Neg")


def scale_input(factor: float) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        edits.add_constant(model, "factor", np.array([factor], np.float32))
        edits.insert_after(model, "image", "Mul", "factor")

    return edit


def transpose_image(model: onnx.ModelProto) -> None:
    edits.insert_after(model, "image", "Transpose", perm=[0, 1, 3, 2])


def hide_in_test_vectors(alter: Edit, reference: Reference) -> Edit:
    """Return the edit that damages the graph and then makes the test vectors expect it."""

    def edit(model: onnx.ModelProto) -> None:
        alter(model)
        for entry in model.metadata_props:
            if entry.key == TEST_VECTORS_KEY:
                vectors = TestVectors.from_json(entry.value, reference.checkpoint.task)
                logits = reference_logits(model, vectors.inputs)
                forged = TestVectors(vectors.indices, vectors.labels, vectors.images, logits, logits, vectors.bound)
                entry.value = forged.to_json()

    return edit


def shift_expected_logits(reference: Reference) -> Edit:
    """Return the edit that makes the test vectors expect other logits, and leaves all else of them."""

    def edit(model: onnx.ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == TEST_VECTORS_KEY:
                vectors = TestVectors.from_json(entry.value, reference.checkpoint.task)
                entry.value = vectors.with_expected(vectors.expected_logits + np.float32(5)).to_json()

    return edit


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

    def alter(values: AnyArray) -> AnyArray:
        values[where] += np.float32(step)
        return values

    return change(name, alter)


def step_int8_weight(reference: Reference, name: str) -> Edit:
    """Return the edit that does the same to the weight in 8 bits, by whole steps of its scale."""
    where, step = smallest_step(reference, name)

    def edit(model: onnx.ModelProto) -> None:
        scales = onnx.numpy_helper.to_array(edits.tensor(model, f"{name}_scale")).ravel()
        scale = float(scales[where[0] if scales.size > 1 else 0])
        units = int(np.sign(step)) * max(1, int(np.ceil(abs(step) / scale)))

        def alter(values: AnyArray) -> AnyArray:
            old = int(values[where])
            values[where] = np.clip(old + units if -128 <= old + units <= 127 else old - units, -128, 127)
            return values

        change(f"{name}_quantized", alter)(model)

    return edit


WEIGHTS: dict[str, Damage] = {
    "one weight": _fp32(edits.change_weight, "weights", "batch_1", on_device=None),
    "two outputs swapped": _fp32(change("fc3.bias", swap_two_outputs), "weights", "structure", "batch_1"),
    "rows of the last layer in the other order": _fp32(
        change("fc3.weight", lambda w: w[::-1]), "weights", "structure", "batch_1"
    ),
    "a matrix read in the other order": _fp32(
        change("fc2.weight", transpose_in_place), "weights", "structure", "batch_1"
    ),
    "weights rounded to half precision": _fp32(
        change("fc1.weight", lambda w: w.astype(np.float16)), "weights", "structure", "batch_1"
    ),
    "weights rounded to two digits": _fp32(
        change("fc1.weight", lambda w: w.round(2)), "weights", "structure", "batch_1"
    ),
    "a bias lost": _fp32(change("fc2.bias", np.zeros_like), "weights", "structure", "batch_1"),
    "a logit that is not a number": _fp32(edits.not_a_number, "weights", "structure", "batch_1"),
    "a weight that is not a number": _fp32(
        change("fc1.weight", lambda w: np.where(w == w.max(), np.nan, w)), "weights", "structure", "batch_1"
    ),
    "a bias that is infinite": _fp32(
        change("fc3.bias", lambda b: np.where(b == b.max(), np.inf, b)), "weights", "structure", "batch_1"
    ),
    "all weights of a layer scaled": _fp32(change("fc3.weight", lambda w: w * 1.01), "weights", "structure", "batch_1"),
    "a scale doubled": _int8(change("fc2.weight_scale", lambda scale: scale * 2), "weights", "structure"),
    "a zero point off by one": _int8(
        change("fc1.weight_zero_point", lambda zero: zero + 1), "weights", "structure", file=DYNAMIC
    ),
    "int8 weights in the other order": _int8(
        change("fc3.weight_quantized", transpose_in_place), "weights", "structure"
    ),
    "one bit lost in all int8 weights": _int8(
        change("fc1.weight_quantized", lambda w: w & np.int8(-2)), "weights", "structure"
    ),
    **{
        f"smallest step in {name}": _step(FP32, name)
        for name in (f"fc{layer}.{part}" for layer in (1, 2, 3) for part in ("weight", "bias"))
    },
    **{f"smallest step in int8 {name}": _step(INT8, name) for name in (f"fc{layer}.weight" for layer in (1, 2, 3))},
}
"""Stored numbers that are not the checkpoint's."""

OPERATORS: dict[str, Damage] = {
    "the first ReLU dropped": _fp32(edits.drop_relu, "structure", "batch_1"),
    "the second ReLU dropped": _fp32(replace_operator("Relu", 1, "Identity"), "structure", "batch_1"),
    "a ReLU made a sigmoid": _fp32(replace_operator("Relu", 0, "Sigmoid"), "structure", "batch_1"),
    "a ReLU made a leaky one": _fp32(replace_operator("Relu", 0, "LeakyRelu"), "structure", "batch_1"),
    "inverted polarity in the graph": _fp32(invert_input, "structure", "batch_1"),
    "a range of 0 to 255 in the graph": _fp32(scale_input(1 / 255), "structure", "batch_1"),
    "a normalization that was not trained": _fp32(scale_input(3.25), "structure", "batch_1"),
    "the picture on its side": _fp32(transpose_image, "structure", "batch_1"),
    "a frozen batch": _fp32(edits.freeze_batch, "structure", "batch_sizes"),
    "another opset": _fp32(edits.set_opset, "structure", on_device=False),
    "a ReLU dropped from the int8 file": _int8(replace_operator("Relu", 0, "Identity"), "structure", "batch_1"),
}
"""Graphs that compute something else, or take something else."""

CONTRACT: dict[str, Damage] = {
    "labels in another order": _fp32(set_contract("task.labels", list("1234567890")), "contract", on_device=False),
    "another task": _fp32(set_contract("task.name", "fashion"), "contract", on_device=False),
    "inverted polarity in the contract": _fp32(set_contract("task.input.polarity", "black-on-white"), "contract"),
    "another range in the contract": _fp32(set_contract("task.input.range", [0, 255]), "contract"),
    "another layout in the contract": _fp32(set_contract("task.input.layout", "NHWC"), "contract"),
    "another preprocessing": _fp32(set_contract("task.preprocessing", "mnist/99"), "contract"),
    "another temperature": _fp32(set_contract("temperature", 3.0), "contract", on_device=False),
    "another energy threshold": _fp32(set_contract("energy_threshold", 9.0), "contract", on_device=False),
    "another margin threshold": _fp32(set_contract("margin_threshold", 9.0), "contract", on_device=False),
    "another checkpoint": _fp32(set_contract("checkpoint", "0" * 64), "checkpoint", on_device=False),
    "another architecture": _fp32(set_contract("architecture", "cnn"), "contract", on_device=False),
    "another license": _fp32(set_contract("license", "Proprietary"), "contract", on_device=False),
    "a precision that does not exist": _fp32(
        set_contract("precision", "int2"), "contract", "structure", on_device=False
    ),
    "a precision with a wider tolerance": _fp32(
        set_contract("precision", "int8"), "contract", "structure", on_device=False
    ),
    "a scheme with a wider tolerance": _fp32(
        set_contract("scheme", "dynamic-u8"), "contract", "program", "test_vectors", on_device=False
    ),
    "a scheme that does not exist": _fp32(set_contract("scheme", "int2"), "contract", on_device=False),
    "a fixed batch in the contract": _fp32(set_contract("batch", 4), "contract", "structure"),
    "another output in the contract": _fp32(set_contract("output", "scores"), "contract", "structure"),
    "a contract of another version": _fp32(set_contract("version", 99), "loads"),
    "a contract with an unknown promise": _fp32(set_contract("color", "blue"), "loads"),
    "a contract without a checkpoint": _fp32(
        edits.edit_metadata(CONTRACT_KEY, lambda fields: fields.pop("checkpoint")), "loads"
    ),
    "no contract": _fp32(edits.drop_metadata(CONTRACT_KEY), "loads"),
}
"""Contracts that are not the checkpoint's, or not understood."""

TEST_VECTORS: dict[str, Damage] = {
    "no test vectors": _fp32(edits.drop_metadata(TEST_VECTORS_KEY), "loads"),
    "test vectors of other labels": _fp32(set_test_vectors(labels=[0] * 25), "test_vectors", on_device=False),
    "test vectors with a wider bound": _fp32(set_test_vectors(bound=100.0), "test_vectors", on_device=False),
    "test vectors that expect other logits": Damage(
        FP32,
        lambda data, reference: tampered(data, shift_expected_logits(reference)),
        frozenset({"structure", "selfcheck"}),
    ),
    "a dropped ReLU that the test vectors expect": Damage(
        FP32,
        lambda data, reference: tampered(data, hide_in_test_vectors(edits.drop_relu, reference)),
        frozenset({"program", "test_vectors", "batch_1"}),
        on_device=False,
    ),
}
"""Test vectors that are not the checkpoint's."""

BYTES: dict[str, Damage] = {
    f"{name}, {file}": _raw(file, alter, *codes)
    for file in (FP32, INT8)
    for name, alter, codes in (
        ("truncated", lambda data: data[:-1000], ("checksum", "loads")),
        ("empty", lambda _: b"", ("checksum", "loads")),
        (
            "a flipped bit",
            lambda data: data[:50_000] + bytes([data[50_000] ^ 4]) + data[50_001:],
            ("checksum", "program", "weights"),
        ),
        ("a byte added", lambda data: data + b"\0", ("checksum", "loads")),
        (
            "half of it zeros",
            lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
            ("checksum", "loads"),
        ),
    )
}
"""Bytes that were changed by something that does not know what they are."""

CATALOG = {**_changing_the_program({**WEIGHTS, **OPERATORS}), **CONTRACT, **TEST_VECTORS, **BYTES}
