"""ONNX files that somebody made to hang, to fill the memory, to read other files, or to answer to a mark."""

import itertools
from collections.abc import Callable

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64

Hostile = Callable[[onnx.ModelProto], None]
"""Makes a good model hostile."""


def logits_of(model: onnx.ModelProto) -> onnx.NodeProto:
    """Return the node that gives the logits, under another name from now on."""
    last: onnx.NodeProto = model.graph.node[-1]
    last.output[0] = "true_logits"
    return last


def then(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """Put nodes after the network; the last one gives the logits."""
    logits_of(model)
    model.graph.node.extend(nodes)


def constant(model: onnx.ModelProto, name: str, values: object, dtype: type = np.float32) -> str:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values, dtype), name))
    return name


def branch_on_a_mark(model: onnx.ModelProto) -> None:
    """Answer differently where one pixel is exactly 0.123."""
    constant(model, "mark", 0.123)
    constant(model, "corner", [0, 0, 0, 0], np.int64)
    constant(model, "other", np.eye(10)[3] * 99)
    then(
        model,
        onnx.helper.make_node("GatherND", ["image", "corner"], ["pixel"], batch_dims=0),
        onnx.helper.make_node("Equal", ["pixel", "mark"], ["marked"]),
        onnx.helper.make_node("Where", ["marked", "other", "true_logits"], ["logits"]),
    )


def if_branch(model: onnx.ModelProto) -> None:
    then_graph, else_graph = (
        onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["true_logits"], [name])],
            name,
            [],
            [onnx.helper.make_tensor_value_info(name, FLOAT, None)],
        )
        for name in ("then_logits", "else_logits")
    )
    constant(model, "always", True, np.bool_)
    then(model, onnx.helper.make_node("If", ["always"], ["logits"], then_branch=then_graph, else_branch=else_graph))


def endless_loop(model: onnx.ModelProto) -> None:
    body = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Identity", ["going"], ["going_on"]),
            onnx.helper.make_node("Identity", ["state"], ["next_state"]),
        ],
        "body",
        [
            onnx.helper.make_tensor_value_info("number", INT64, []),
            onnx.helper.make_tensor_value_info("going", onnx.TensorProto.BOOL, []),
            onnx.helper.make_tensor_value_info("state", FLOAT, None),
        ],
        [
            onnx.helper.make_tensor_value_info("going_on", onnx.TensorProto.BOOL, []),
            onnx.helper.make_tensor_value_info("next_state", FLOAT, None),
        ],
    )
    constant(model, "always", True, np.bool_)
    then(model, onnx.helper.make_node("Loop", ["", "always", "true_logits"], ["logits"], body=body))


def doubling(kind: str) -> Hostile:
    """Return a chain that doubles its value with every operator: a billion laughs."""

    def make(model: onnx.ModelProto) -> None:
        constant(model, "twice", [1, 2], np.int64)
        names = ["true_logits", *(f"laugh_{number}" for number in range(40)), "logits"]
        nodes = [
            onnx.helper.make_node(kind, [before, before] if kind == "Concat" else [before, "twice"], [after])
            for before, after in itertools.pairwise(names)
        ]
        if kind == "Concat":
            for node in nodes:
                node.attribute.append(onnx.helper.make_attribute("axis", 1))
        then(model, *nodes)

    return make


def broadcast_bomb(model: onnx.ModelProto) -> None:
    """Square the number of elements again and again by adding a column to a row."""
    nodes, name = [], "true_logits"
    for number in range(6):
        constant(model, f"row_{number}", [1, -1], np.int64)
        constant(model, f"column_{number}", [-1, 1], np.int64)
        row, column, after = (f"{part}_{number}_value" for part in ("row", "column", "sum"))
        nodes += [
            onnx.helper.make_node("Reshape", [name, f"row_{number}"], [row]),
            onnx.helper.make_node("Reshape", [name, f"column_{number}"], [column]),
            onnx.helper.make_node("Add", [row, column], [after]),
        ]
        name = after
    then(model, *nodes, onnx.helper.make_node("Identity", [name], ["logits"]))


def expanding_constant(kind: str) -> Hostile:
    def make(model: onnx.ModelProto) -> None:
        constant(model, "large", [100_000, 100_000], np.int64)
        constant(model, "zero", 0.0)
        constant(model, "billions", 4_000_000_000.0)
        constant(model, "one", 1.0)
        inputs = {
            "ConstantOfShape": ["large"],
            "Expand": ["zero", "large"],
            "Range": ["zero", "billions", "one"],
        }[kind]
        then(
            model,
            onnx.helper.make_node(kind, inputs, ["huge"]),
            onnx.helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
            onnx.helper.make_node("Add", ["true_logits", "sum"], ["logits"]),
        )

    return make


def product_of_constants(model: onnx.ModelProto) -> None:
    """Make a matrix of 4 GB of a row and a column, before any image is there."""
    constant(model, "column", np.ones((1 << 15, 1)))
    constant(model, "row", np.ones((1, 1 << 15)))
    model.graph.node.append(onnx.helper.make_node("Mul", ["column", "row"], ["huge"]))


def choice_among_constants(model: onnx.ModelProto) -> None:
    """Compare a row and a column, and choose a matrix of 4 GB by a matrix of a billion bytes."""
    column, row = constant(model, "column", np.ones((1 << 15, 1))), constant(model, "row", np.ones((1, 1 << 15)))
    model.graph.node.append(onnx.helper.make_node("Greater", [column, row], ["greater"]))
    model.graph.node.append(onnx.helper.make_node("Where", ["greater", column, row], ["huge"]))


def chosen_sizes(model: onnx.ModelProto) -> None:
    """Expand to one size or another, by what is seen."""
    sizes = [constant(model, name, values, np.int64) for name, values in (("few", [1]), ("many", [1 << 30]))]
    then(
        model,
        onnx.helper.make_node("ReduceMax", ["image"], ["brightest"], keepdims=0),
        onnx.helper.make_node("Greater", ["brightest", constant(model, "half", 0.5)], ["bright"]),
        onnx.helper.make_node("Where", ["bright", *sizes], ["size"]),
        onnx.helper.make_node("Expand", [constant(model, "zero", [0.0]), "size"], ["huge"]),
        onnx.helper.make_node("ReduceMax", ["huge"], ["most"], keepdims=0),
        onnx.helper.make_node("Add", ["true_logits", "most"], ["logits"]),
    )


def copies_of_a_constant(model: onnx.ModelProto) -> None:
    """Make floats of a million bytes, 900 times over, all of which are there at once."""
    constant(model, "levels", np.zeros(1 << 20), np.int8)
    copies = [f"copy_{number}" for number in range(900)]
    model.graph.node.extend(onnx.helper.make_node("Cast", ["levels"], [copy], to=FLOAT) for copy in copies)


def claims_more_than_it_has(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend([1 << 31, 1 << 20])


def external_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def long_chain(model: onnx.ModelProto) -> None:
    names = ["true_logits", *(f"same_{number}" for number in range(20_000)), "logits"]
    then(model, *(onnx.helper.make_node("Identity", [a], [b]) for a, b in itertools.pairwise(names)))


def padded_convolution(model: onnx.ModelProto) -> None:
    constant(model, "kernel", np.zeros((1, 1, 1, 1)))
    side = 1_000_000
    model.graph.node.append(onnx.helper.make_node("Conv", ["image", "kernel"], ["huge"], pads=[side] * 4))


def foreign_operator(model: onnx.ModelProto) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    then(model, onnx.helper.make_node("Gelu", ["true_logits"], ["logits"], domain="com.microsoft"))


def function(model: onnx.ModelProto) -> None:
    model.functions.append(
        onnx.helper.make_function(
            "mine",
            "Relu",
            ["x"],
            ["y"],
            [onnx.helper.make_node("Neg", ["x"], ["y"])],
            [onnx.helper.make_opsetid("", 18)],
        )
    )


def sparse_weight(model: onnx.ModelProto) -> None:
    values = onnx.helper.make_tensor("sparse", FLOAT, [1], [1.0])
    indices = onnx.helper.make_tensor("indices", INT64, [1], [1 << 40])
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, [1 << 41]))


def constant_node(model: onnx.ModelProto) -> None:
    tensor = onnx.helper.make_tensor("value", FLOAT, [10], [9.0] * 10)
    then(
        model,
        onnx.helper.make_node("Constant", [], ["more"], value=tensor),
        onnx.helper.make_node("Add", ["true_logits", "more"], ["logits"]),
    )


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(onnx.helper.make_tensor_value_info("more", FLOAT, ["batch", 10]))


def computed_sizes(operator: str, *outputs: str) -> Hostile:
    """Let what an operator does to shapes depend on what was computed."""

    def change(model: onnx.ModelProto) -> None:
        then(
            model,
            onnx.helper.make_node("Cast", ["true_logits"], ["sizes"], to=INT64),
            onnx.helper.make_node(operator, ["true_logits", "sizes"], [*outputs, "logits"]),
        )

    return change


def many_matrices(model: onnx.ModelProto) -> None:
    """Multiply a million matrices of one number: what onnxruntime keeps of each takes more than the numbers."""
    constant(model, "pads", [0, 0, 0, (1 << 20) - 10], np.int64)
    constant(model, "each", [0, 1 << 20, 1, 1], np.int64)
    constant(model, "rest", [0, -1], np.int64)
    then(
        model,
        onnx.helper.make_node("Pad", ["true_logits", "pads"], ["padded"]),
        onnx.helper.make_node("Reshape", ["padded", "each"], ["matrices"]),
        onnx.helper.make_node("MatMul", ["matrices", "matrices"], ["products"]),
        onnx.helper.make_node("Reshape", ["products", "rest"], ["logits"]),
    )


def squared_images(model: onnx.ModelProto) -> None:
    """Multiply the column of all images' pixels by the same as a row: small for one image, huge for a thousand."""
    constant(model, "column", [-1, 1], np.int64)
    constant(model, "both", [0, 1], np.int64)
    then(
        model,
        onnx.helper.make_node("Reshape", ["image", "column"], ["pixels"]),
        onnx.helper.make_node("Transpose", ["pixels"], ["row"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["pixels", "row"], ["square"]),
        onnx.helper.make_node("ReduceMax", ["square", "both"], ["greatest"], keepdims=1),
        onnx.helper.make_node("Add", ["true_logits", "greatest"], ["logits"]),
    )


def padded_along_chosen_axes(model: onnx.ModelProto) -> None:
    constant(model, "pads", [0, 0, 0, 600_000], np.int64)
    constant(model, "axes", [1, 0], np.int64)
    constant(model, "nothing", 0.0)
    then(model, onnx.helper.make_node("Pad", ["true_logits", "pads", "nothing", "axes"], ["logits"]))


def padded_by_a_rule(model: onnx.ModelProto) -> None:
    """Have a window of 300 by 300 pixels fit at each pixel."""
    constant(model, "kernel", np.zeros((1, 1, 300, 300)))
    constant(model, "pads", [0, 0, 136, 136, 0, 0, 136, 136], np.int64)
    model.graph.node.extend(
        [
            onnx.helper.make_node("Pad", ["image", "pads"], ["large"]),
            onnx.helper.make_node("Conv", ["large", "kernel"], ["same"], auto_pad="SAME_UPPER"),
        ]
    )


def column_and_row(model: onnx.ModelProto) -> tuple[str, str]:
    """Return 2,000 numbers as a column, and as a row."""
    return constant(model, "column", np.zeros((2_000, 1))), constant(model, "row", np.zeros((1, 2_000)))


def gemm_with_a_large_flag(model: onnx.ModelProto) -> None:
    """Multiply a row and a column turned by 2, which onnxruntime takes for 1."""
    column, row = column_and_row(model)
    model.graph.node.append(onnx.helper.make_node("Gemm", [row, column], ["square"], transA=2, transB=2))


def sides_kept_by_a_large_flag(model: onnx.ModelProto) -> None:
    _, row = column_and_row(model)
    constant(model, "last", [1], np.int64)
    model.graph.node.append(onnx.helper.make_node("ReduceMax", [row, "last"], ["most"], keepdims=2))


def squeezed_of_nothing(model: onnx.ModelProto) -> None:
    """Name no side, at which onnxruntime drops all that are 1."""
    column, _ = column_and_row(model)
    model.graph.node.append(onnx.helper.make_node("Squeeze", [column, constant(model, "none", [], np.int64)], ["same"]))


def slopes_across(model: onnx.ModelProto) -> None:
    """Give a column a slope for each of a row."""
    constant(model, "pads", [0, 0, 0, 1_990], np.int64)
    _, row = column_and_row(model)
    then(
        model,
        onnx.helper.make_node("Pad", ["true_logits", "pads"], ["padded"]),
        onnx.helper.make_node("Transpose", ["padded"], ["turned"], perm=[1, 0]),
        onnx.helper.make_node("PRelu", ["turned", row], ["logits"]),
    )


def looked_up_by_the_number_of_images(model: onnx.ModelProto) -> None:
    """Expand to one number for one and two images, and to a billion for three."""
    table = constant(model, "table", [1, 1, 1, 1_000_000_000, 1], np.int64)
    then(
        model,
        onnx.helper.make_node("Shape", ["image"], ["images"], start=0, end=1),
        onnx.helper.make_node("Gather", [table, "images"], ["size"]),
        onnx.helper.make_node("Expand", [constant(model, "zero", [0.0]), "size"], ["huge"]),
        onnx.helper.make_node("ReduceMax", ["huge", constant(model, "only", [0], np.int64)], ["most"], keepdims=0),
        onnx.helper.make_node("Add", ["true_logits", "most"], ["logits"]),
    )


def squared_late(model: onnx.ModelProto) -> None:
    """Square the number of images where it is small beside what is added to it, for one and two images."""
    constant(model, "pads", [0, 0, 600, 0], np.int64)
    constant(model, "flat", [-1, 1], np.int64)
    then(
        model,
        onnx.helper.make_node("Reshape", ["true_logits", "flat"], ["numbers"]),
        onnx.helper.make_node("Pad", ["numbers", "pads"], ["column"]),
        onnx.helper.make_node("Transpose", ["column"], ["row"], perm=[1, 0]),
        onnx.helper.make_node("Add", ["column", "row"], ["logits"]),
    )


def input_without_a_shape(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def input_of_any_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def input_that_is_stored(model: onnx.ModelProto) -> None:
    constant(model, model.graph.input[0].name, np.zeros((1, 1, 1, 1)))


def large_windows(model: onnx.ModelProto) -> None:
    """Look at a quarter of a million numbers for each of as many outputs."""
    constant(model, "pads", [0, 0, 486, 486, 0, 0, 486, 486], np.int64)
    model.graph.node.extend(
        [
            onnx.helper.make_node("Pad", ["image", "pads"], ["large"]),
            onnx.helper.make_node("MaxPool", ["large"], ["maxima"], kernel_shape=[500, 500]),
        ]
    )


def lengthening_shapes(model: onnx.ModelProto) -> None:
    """Double a list of whole numbers with every operator."""
    names = [constant(model, "ones", [1, 1], np.int64), *(f"list_{number}" for number in range(60))]
    model.graph.node.extend(
        onnx.helper.make_node("Concat", [before, before], [after], axis=0)
        for before, after in itertools.pairwise(names)
    )


def backwards(model: onnx.ModelProto) -> None:
    arrays = {"from": [-1], "to": [-(1 << 63)], "along": [1], "step": [-1]}
    names = [constant(model, name, values, np.int64) for name, values in arrays.items()]
    then(model, onnx.helper.make_node("Slice", ["true_logits", *names], ["logits"]))


def chosen_by_an_answer(model: onnx.ModelProto) -> None:
    """Look logits up in a table by what was computed."""
    constant(model, "table", np.eye(10))
    then(
        model,
        onnx.helper.make_node(
            "ReduceMax", ["true_logits", constant(model, "last", [1], np.int64)], ["most"], keepdims=0
        ),
        onnx.helper.make_node("Cast", ["most"], ["row"], to=INT64),
        onnx.helper.make_node("Gather", ["table", "row"], ["logits"], axis=0),
    )


def dangling_input(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nothing\x1b]0;title\x07"


HOSTILE: dict[str, Hostile] = {
    "a branch on a mark": branch_on_a_mark,
    "an If": if_branch,
    "computed axes of a Squeeze": computed_sizes("Squeeze"),
    "a million matrices": many_matrices,
    "computed pads": computed_sizes("Pad"),
    "computed parts of a Split": computed_sizes("Split", "other"),
    "a loop without an end": endless_loop,
    "a billion laughs by Concat": doubling("Concat"),
    "a billion laughs by Tile": doubling("Tile"),
    "squared again and again by broadcasting": broadcast_bomb,
    "ConstantOfShape": expanding_constant("ConstantOfShape"),
    "Expand": expanding_constant("Expand"),
    "Range": expanding_constant("Range"),
    "a constant of 4 GB that two small ones give": product_of_constants,
    "a choice among constants that gives 4 GB": choice_among_constants,
    "sizes that are chosen": chosen_sizes,
    "a constant made floats 900 times": copies_of_a_constant,
    "a constant that claims more than it has": claims_more_than_it_has,
    "weights in another file": external_data,
    "a chain of 20,000": long_chain,
    "a convolution with a frame of a million pixels": padded_convolution,
    "an operator that is not ONNX's own": foreign_operator,
    "a function": function,
    "a sparse weight": sparse_weight,
    "a constant in a node": constant_node,
    "a second input": second_input,
    "an input that nothing gives": dangling_input,
    "all images squared": squared_images,
    "pads along chosen axes": padded_along_chosen_axes,
    "a convolution padded by a rule": padded_by_a_rule,
    "a pool with large windows": large_windows,
    "a product turned by a flag of 2": gemm_with_a_large_flag,
    "sides kept by a flag of 2": sides_kept_by_a_large_flag,
    "a squeeze of no side": squeezed_of_nothing,
    "slopes across": slopes_across,
    "a size that is looked up by the number of images": looked_up_by_the_number_of_images,
    "images squared beside many constants": squared_late,
    "an input without a shape": input_without_a_shape,
    "an input of any size": input_of_any_size,
    "an input that is stored": input_that_is_stored,
    "lists of whole numbers that double": lengthening_shapes,
    "a slice backwards": backwards,
    "a table of answers": chosen_by_an_answer,
}
