"""Header as text: C that says itself what it is, and that is written again from what it holds to check it."""

import json
import re
from collections.abc import Iterator
from importlib import resources

import numpy as np

from mnist_edge.artifact.checksum import CHECKSUM_PLACEHOLDER
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.formats.c.header import (
    NETWORK_KEY,
    Header,
    in_comment,
    layer_name,
    network_json,
    plain,
    stored,
)
from mnist_edge.formats.c.network import Layer
from mnist_edge.formats.c.reference import least_energy
from mnist_edge.types import AnyArray

_COLUMNS = 120
_C_TYPES = {"int8": "int8_t", "int32": "int32_t", "uint32": "uint32_t", "uint8": "uint8_t", "float32": "float"}


def write(header: Header) -> str:
    """Return a header as text, with a place for its checksum."""
    implementation = "\n\n".join(_implementation(header))
    code = (
        f"{_filled('declarations', _declared(header))}\n\n"
        "#if defined(NET_IMPLEMENTATION) && !defined(NET_IMPLEMENTED)\n#define NET_IMPLEMENTED\n\n"
        f"{implementation}\n\n#endif /* NET_IMPLEMENTATION */"
    )
    return f"{_introduction(header)}\n{_named(code, header.prefix)}\n\n{_data(header)}"


def _named(text: str, prefix: str) -> str:
    """Return C with the model's names in place of those of the templates."""
    return re.sub(r"\bnet_(?=\w)", f"{prefix}_", re.sub(r"\bNET_(?=\w)", f"{prefix.upper()}_", text))


def _filled(template: str, values: dict[str, str]) -> str:
    """Return a template with values in place of the names in it."""
    text = resources.files(__package__).joinpath("templates", f"{template}.h").read_text(encoding="utf-8")
    return re.sub("@([a-z_]+)@", lambda match: values[match[1]], text).strip("\n")


def _introduction(header: Header) -> str:
    contract, network = header.contract, header.network
    name, macro = header.prefix, header.prefix.upper()
    lines = [
        f"{header.title}.h: {header.pixels:,} pixels in, {header.labels:,} logits out. {_STATEMENT[network.quantized]}",
        "C99 and C++11, no heap, no libm, no other file. Written by mnist-edge, which refuses it if a byte is changed.",
        f"License of the weights: {plain(contract.license)}",
        "",
        "In one source file:",
        "",
        f"    #define {macro}_IMPLEMENTATION",
        f'    #include "{header.title}.h"',
        "",
        "In each that calls it, the #include alone:",
        "",
        f"    static {name}_workspace workspace;",
        f"    {name}_answer answer = {name}_classify(&workspace, pixels);",
        f"    if (answer.certain) {{ puts({name}_names[answer.label]); }}",
        "",
        f"RAM: {header.workspace_bytes:,} bytes for the workspace, and what the functions below need of the stack.",
        f"Flash: {header.constant_bytes:,} bytes of numbers, and the code. Define {macro}_SELF_TEST for a self-test.",
        "",
        *_layer_lines(header),
        "",
        "Contract:",
        *(f"  {in_comment(line)}" for line in _contract_lines(contract)),
    ]
    return "\n".join(["/*", *(f" * {line}".rstrip() for line in lines), " */"])


def _contract_lines(contract: Contract) -> Iterator[str]:
    """Yield the fields of a contract, a line each."""
    fields = json.loads(contract.to_json())
    task = fields.pop("task")
    fields |= {f"task.{name}": value for name, value in task.items() if name != "input"}
    fields |= {f"task.input.{name}": value for name, value in task["input"].items()}
    for name, value in fields.items():
        yield f"{name}: {json.dumps(value)}"


_STATEMENT = {
    True: "Weights and values are bytes, sums are whole numbers.",
    False: "All numbers are floats.",
}


def _layer_lines(header: Header) -> list[str]:
    lines = ["Layers (height x width x channels):"]
    for number, layer in enumerate(header.network.layers, 1):
        window = layer.window
        sizes = " -> ".join(" x ".join(map(str, size)) for size in (window.size, window.outputs))
        relu = ", ReLU" if layer.relu else ""
        kernel = "" if layer.kind == "Linear" else f", window {window.kernel[0]} x {window.kernel[1]}"
        lines.append(f"  {number}. {plain(layer.name)}: {layer.kind}, {sizes}{kernel}{relu}")
    return lines


def _declared(header: Header) -> dict[str, str]:
    sums, even, odd = header.buffers()
    channels = header.contract.task.input.shape[0]
    quantized = header.network.quantized
    return {
        "model": f"{header.contract.checkpoint[:12]}_{'int8' if quantized else 'fp32'}",
        "pixels": str(header.pixels),
        "labels": str(header.labels),
        "checksum": CHECKSUM_PLACEHOLDER,
        "sum": "int32_t" if quantized else "float",
        "value": "uint8_t" if quantized else "float",
        "sums": str(sums),
        "even": str(even),
        "odd": str(odd),
        "interleaved": f", the {channels} channels of a pixel beside each other" if channels > 1 else "",
        "high": f"{header.contract.task.input.range[1]:g}",
        "rounding": f": they are rounded to bytes, {header.pixels:,} more of the stack" if quantized else "",
        "vectors": str(len(header.vectors.labels)),
        "polarity": plain(header.contract.task.input.polarity),
    }


def _implementation(header: Header) -> list[str]:
    network = header.network
    kinds = {layer.kind for layer in network.layers}
    bytes_or_floats = _BYTES if network.quantized else _FLOATS
    parts = [_filled("guards", {}), _filled("products", bytes_or_floats)]
    if len([layer for layer in network.layers if layer.has_weights]) > 1:
        parts.append(_filled("run_bytes" if network.quantized else "run_floats", {}))
    parts += [_filled(name, bytes_or_floats) for kind, name in _POOLS.items() if kind in kinds]
    for number, layer in enumerate(network.layers, 1):
        parts.append(_layer(header, number, layer))
    contract = header.contract
    numbers: dict[str, float | np.float32] = {"temperature": contract.temperature, "energy": least_energy(contract)}
    numbers |= {"margin": contract.margin_threshold}
    parts += [
        _names(header),
        _logits(header),
        _filled("answer", {name: str(np.float32(number)) for name, number in numbers.items()}),
        _self_test(header),
        "#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC pop_options\n#endif",
    ]
    return parts


_POOLS = {"MaxPool2d": "max_pool", "AvgPool2d": "average_pool"}

_BYTES = {
    "value": "uint8_t",
    "weight": "int8_t",
    "sum": "int32_t",
    "fields": (
        "    const uint32_t *multipliers; /* an output is sum * multiplier / 2^(32 + shift) */\n"
        "    int32_t shift;\n    uint8_t flip; /* 128 where inputs are signed bytes, else 0 */\n"
        "    uint8_t relu, counts_padding;\n"
    ),
    "flip_parameter": ", uint8_t flip",
    "flip_argument": ", layer->flip",
    "loaded": "(int32_t)(*input ^ flip) - flip",
    "seen": "(int32_t)(seen ^ layer->flip) - layer->flip",
    "or_nan": "",
    "average": (
        "                sum = sum < 0 ? -((-2 * sum + count) / (2 * count)) : (2 * sum + count) / (2 * count);\n"
    ),
}
_FLOATS = {
    "value": "float",
    "weight": "float",
    "sum": "float",
    "fields": "    uint8_t relu, counts_padding;\n",
    "flip_parameter": "",
    "flip_argument": "",
    "loaded": "*input",
    "seen": "seen",
    "or_nan": " || value != value",
    "average": "                sum = sum / (float)count;\n",
}


def _layer(header: Header, number: int, layer: Layer) -> str:
    """Return the numbers of a layer and what it is."""
    name, window = layer_name("net", number, layer), layer.window
    signed = header.network.signed_inputs[number - 1]
    arrays = stored(layer)
    pointers = [f"{name}_{kind}" if kind in arrays else "0" for kind in ("weights", "bias")]
    flags = [str(int(layer.relu)), str(int(layer.counts_padding))]
    if header.network.quantized:
        multipliers = f"{name}_multipliers" if "multipliers" in arrays else "0"
        flags = [multipliers, str(layer.shift), "128" if signed else "0", *flags]
    sides = (*window.size, *window.kernel, *window.stride, *window.dilation, *window.padding, *window.outputs)
    return "\n".join(
        [
            f"/* {number}. {layer.kind} */",
            *(_array(f"{name}_{kind}", numbers) for kind, numbers in arrays.items()),
            f"static const net_layer {name} = {{",
            f"    {{{', '.join(map(str, (*sides, layer.groups)))}}},",
            f"    {', '.join([*pointers, *flags])}",
            "};",
        ]
    )


def _array(name: str, numbers: AnyArray) -> str:
    """Return the definition of an array of numbers, which are read back as they are."""
    flat = numbers.ravel()
    suffix = {"f": "f", "u": "u"}.get(flat.dtype.kind, "") if flat.dtype != np.uint8 else ""
    texts = [f"{text}{suffix}" for text in flat.astype(str).tolist()]
    longest = max(map(len, texts)) + 1
    many = max(1, (_COLUMNS - 4) // longest)
    rows = [f"    {','.join(texts[start : start + many])}" for start in range(0, len(texts), many)]
    body = ",\n".join(rows)
    return f"static const {_C_TYPES[str(flat.dtype)]} {name}[{len(flat)}] = {{\n{body}\n}};"


def _names(header: Header) -> str:
    texts = ",\n".join(f"    {_literal(label)}" for label in header.contract.task.labels)
    return f"const char *const net_names[NET_LABELS] = {{\n{texts}\n}};"


def _literal(text: str) -> str:
    """Return a text as a C string: whatever is not a plain letter, digit or sign as bytes of its UTF-8."""
    data = text.encode("utf-8", "replace")
    plain = re.compile(rb"[A-Za-z0-9 .+()-]")
    return '"' + "".join(chr(byte) if plain.match(bytes([byte])) else f"\\{byte:03o}" for byte in data) + '"'


def _logits(header: Header) -> str:
    """Return the two functions that give logits: the layers in order."""
    quantized, layers = header.network.quantized, header.network.layers
    steps = np.float32(1 / header.network.input_step)
    calls, place = [], "pixels" if quantized else "workspace->odd"
    for number, layer in enumerate(layers[:-1], 1):
        target = f"workspace->{'even' if number % 2 else 'odd'}"
        name = layer_name("net", number, layer)
        if layer.has_weights:
            calls.append(f"    net_run(&{name}, {place}, {target}, workspace->sums);")
        else:
            calls.append(f"    net_{_POOLS[layer.kind]}(&{name}, {place}, {target});")
        place = target
    last = layer_name("net", len(layers), layers[-1])
    calls.append(f"    net_sum_window(&{last}, {place}, 0, 0, workspace->sums);")
    scaled = f"(float)workspace->sums[i] * {last}_scales[i]" if quantized else "workspace->sums[i]"
    calls.append(f"    for (i = 0; i < NET_LABELS; ++i) {{\n        logits[i] = {scaled};\n    }}")
    return _filled("logits_bytes" if quantized else "logits_floats", {"layers": "\n".join(calls), "steps": str(steps)})


def _self_test(header: Header) -> str:
    vectors = header.vectors
    images = vectors.images.transpose(0, 2, 3, 1).reshape(-1)
    expected = ",\n".join(
        "    {" + ", ".join(f"{text}f" for text in row.astype(str).tolist()) + "}" for row in vectors.expected_logits
    )
    return _filled("self_test", {"packed": _array("net_packed", packed(images)), "expected": expected})


def packed(values: AnyArray) -> AnyArray:
    """Return bytes, uint8 `[N]`, with each run of up to 255 zeros as a zero and its length."""
    result = bytearray()
    for run in re.finditer(rb"\0{1,255}|[^\0]+", values.tobytes(), re.DOTALL):
        result += run[0] if run[0][0] else bytes([0, len(run[0])])
    return np.frombuffer(bytes(result), np.uint8)


_DATA = "/* For mnist-edge, which writes this file again from these lines and the numbers above, and compares.\n"


def _data(header: Header) -> str:
    """Return what the header is written from, beside its numbers."""
    lines = {
        CONTRACT_KEY: in_comment(header.contract.to_json()),
        NETWORK_KEY: in_comment(network_json(header.network)),
        TEST_VECTORS_KEY: in_comment(header.vectors_json),
    }
    return _DATA + "".join(f"{key} {text}\n" for key, text in lines.items()) + "*/\n"
