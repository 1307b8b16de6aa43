"""The formats. Adding one is adding a folder beside this file and an entry here; all else is read off the entry."""

from dataclasses import replace
from pathlib import Path

from mnist_edge.artifact.bundle import read_bundle
from mnist_edge.errors import ArtifactError, UnknownFormatError, UserError
from mnist_edge.formats.base import ArtifactFile, FormatSpec
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import (
    FLOAT32,
    FLOAT_BOUND,
    INT4_TOLERANCE,
    INT8_CHANGED_PER_ERROR,
    INT8_TOLERANCE,
    Precision,
    Scheme,
    Tolerance,
)

DYNAMIC_BOUND = 0.15
"""|Δlogit| between processors for schemes that quantize activations: a value on the edge between two steps may be
rounded to the other one where a sum differs in its last digit, which moves a logit by a step times the weights behind
it: in the built-in MLP by up to 0.10.
"""


def _dynamic(name: str) -> Scheme:
    """Return a scheme that quantizes activations too, with a scale taken from the whole batch."""
    return Scheme(name, Precision.INT8, False, DYNAMIC_BOUND, INT8_TOLERANCE, INT8_CHANGED_PER_ERROR)


def _weight_only(name: str) -> Scheme:
    """Return a scheme with weights in 8 bits that are floats again before they are used."""
    return Scheme(name, Precision.INT8, True, FLOAT_BOUND, INT8_TOLERANCE, INT8_CHANGED_PER_ERROR)


HALF = Scheme(
    name="weight-only-f16",
    precision=Precision.FP16,
    batch_invariant=True,
    device_bound=FLOAT_BOUND,
    tolerance=Tolerance(batches=(1, 7, 1_000), max_abs_diff=0.02, min_agreement=0.999, max_accuracy_drop=0.0005),
)
"""Weights as float16 that are float32 again before they are used. Rounding to 11 bits moved a logit by 0.009."""

STATIC_BYTES = Scheme("static-u8-channel", Precision.INT8, True, 0.0, INT8_TOLERANCE, INT8_CHANGED_PER_ERROR)
"""Signed weights with a step for each output, unsigned bytes between layers with steps that are fixed. Sums are whole
numbers and each logit is rounded twice, in a stated order: every processor gives the same bits."""

STATIC_QDQ = Scheme("static-qdq-channel", Precision.INT8, True, 0.5, INT8_TOLERANCE, INT8_CHANGED_PER_ERROR)
"""Fixed steps too, of the logits as well, and between operators processors round as they like: a value on the edge
between two steps moves a logit by one of its own, 0.2 to 0.3 in the built-in models."""

FOUR_BITS = Scheme(
    name="weight-only-s4-block",
    precision=Precision.INT4,
    batch_invariant=True,
    device_bound=FLOAT_BOUND,
    tolerance=INT4_TOLERANCE,
    changed_per_error=INT8_CHANGED_PER_ERROR,
    least_options=(("opset", 21),),  # the first whose Cast takes 4 bits
)
"""Matrices in 4 bits, in blocks of at most 32 with a step each; convolutions in 8 bits, since in 4 they cost an
earlier CNN 0.6 points."""

EXACT_FLOAT32 = replace(FLOAT32, device_bound=0.0)
"""Floats that are multiplied and added one after the other, in a stated order, which every processor does alike."""

FORMATS: dict[str, FormatSpec] = {
    spec.name: spec
    for spec in (
        FormatSpec(
            name="onnx",
            suffix=".onnx",
            module="mnist_edge.formats.onnx",
            schemes=(
                FLOAT32,
                HALF,
                _weight_only("weight-only-s8"),
                _weight_only("weight-only-s8-channel"),
                _dynamic("dynamic-u8"),
                _dynamic("dynamic-u8-channel"),
                _dynamic("dynamic-s8-reduced"),
                _dynamic("dynamic-s8-reduced-channel"),
                _dynamic("dynamic-s8"),
                _dynamic("dynamic-s8-channel"),
                STATIC_QDQ,
                FOUR_BITS,
            ),
            runs_on="onnxruntime: Linux, Windows, macOS, Raspberry Pi (64-bit), phones",
            run_packages=("onnxruntime",),
            export_packages=("onnx", "onnxscript"),
            foreign=True,
            options={"opset": 18},
            targets=("aarch64",),
        ),
        FormatSpec(
            name="torchscript",
            suffix=".pt",
            module="mnist_edge.formats.torchscript",
            schemes=(FLOAT32, _dynamic("dynamic-s8"), _dynamic("dynamic-s8-channel")),
            runs_on="libtorch, where PyTorch is (deprecated by PyTorch)",
            run_packages=("torch",),
            run_extra="train",
        ),
        FormatSpec(
            name="torch-export",
            suffix=".pt2",
            module="mnist_edge.formats.torch_export",
            schemes=(FLOAT32,),
            runs_on="PyTorch, in Python (AOTInductor and ExecuTorch start from it)",
            run_packages=("torch",),
            run_extra="train",
            intermediates=False,
        ),
        FormatSpec(
            name="c",
            suffix=".h",
            module="mnist_edge.formats.c",
            schemes=(EXACT_FLOAT32, STATIC_BYTES),
            runs_on="any C compiler: microcontrollers (Cortex-M, RISC-V), Arduino, WebAssembly, PCs",
            run_packages=(),
            one_of=("cc", "ziglang"),
            export_extra="export,mcu",
            run_extra="mcu",
            batch=1,
            intermediates=False,
            chains_only=True,
            targets=(
                *("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"),
                *("rv32imc", "armv7", "aarch64", "x86-64", "wasm32"),
            ),
        ),
        FormatSpec(
            name="numpy",
            suffix=".npz",
            module="mnist_edge.formats.numpy",
            schemes=(FLOAT32, STATIC_BYTES),
            runs_on="NumPy alone: processors for which there is no onnxruntime (32-bit ARM, musl, RISC-V)",
            run_packages=("numpy",),
            intermediates=False,
            chains_only=True,
            targets=("aarch64",),
        ),
        FormatSpec(
            name="wasm",
            suffix=".web",
            module="mnist_edge.formats.wasm",
            schemes=(EXACT_FLOAT32, STATIC_BYTES),
            runs_on="browsers and Node: WebAssembly, with an ES module and TypeScript types",
            run_packages=("wasmtime",),
            export_packages=("ziglang",),
            export_extra="export,mcu",
            run_extra="mcu",
            batch=1,
            folder=True,
            embeds_metadata=False,
            readable_weights=False,
            intermediates=False,
            chains_only=True,
        ),
        FormatSpec(
            name="page",
            suffix=".html",
            module="mnist_edge.formats.page",
            schemes=(STATIC_BYTES,),
            runs_on="browsers, on phones and PCs: one file that reads what is drawn, chosen or filmed",
            run_packages=("wasmtime",),
            export_packages=("ziglang",),
            export_extra="export,mcu",
            run_extra="mcu",
            batch=1,
            readable_weights=False,
            intermediates=False,
            chains_only=True,
            browser=True,
        ),
        FormatSpec(
            name="litert",
            suffix=".tflite",
            module="mnist_edge.formats.litert",
            schemes=(FLOAT32, _dynamic("dynamic-s8-channel")),
            runs_on="LiteRT (TensorFlow Lite): Android, iOS, Raspberry Pi",
            run_packages=("ai_edge_litert",),
            export_packages=("litert_torch", "ai_edge_quantizer"),
            export_extra="litert",
            run_extra="litert",
            batch=1,
            readable_weights=False,
            intermediates=False,
            targets=("aarch64",),
        ),
        FormatSpec(
            name="executorch",
            suffix=".pte",
            module="mnist_edge.formats.executorch",
            schemes=(FLOAT32, _dynamic("dynamic-s8-channel")),
            runs_on="ExecuTorch with XNNPACK: Android, iOS, embedded Linux",
            run_packages=("executorch", "torch"),
            export_packages=("torchao",),
            export_extra="executorch",
            run_extra="executorch",
            contract_key="mnist_edge_contract",  # a method of the program: an identifier
            batch=1,
            readable_weights=False,
            intermediates=False,
            harness=True,
        ),
        FormatSpec(
            name="ncnn",
            suffix=".ncnn",
            module="mnist_edge.formats.ncnn",
            schemes=(FLOAT32, HALF),
            runs_on="ncnn: phones and boards (ARM, RISC-V, MIPS, x86)",
            run_packages=("ncnn",),
            export_packages=("pnnx",),
            export_extra="ncnn",
            run_extra="ncnn",
            batch=1,
            folder=True,
            embeds_metadata=False,
            readable_weights=False,
            intermediates=False,
        ),
        FormatSpec(
            name="openvino",
            suffix=".openvino",
            module="mnist_edge.formats.openvino",
            schemes=(FLOAT32, HALF),
            runs_on="OpenVINO: Intel processors, graphics and NPUs; ARM processors",
            run_packages=("openvino",),
            export_extra="openvino",
            run_extra="openvino",
            folder=True,
            embeds_metadata=False,
            readable_weights=False,
            intermediates=False,
        ),
    )
}
"""The formats by name."""


def format_of(path: Path) -> FormatSpec:
    """Return the format of an exported artifact by its suffix, the longest that fits.

    Raises:
        UnknownFormatError: no format has that suffix.
    """
    fitting = [spec for spec in FORMATS.values() if path.name.endswith(spec.suffix)]
    if not fitting:
        known = ", ".join(f"{spec.suffix} ({spec.name})" for spec in FORMATS.values())
        raise UnknownFormatError(
            f"cannot tell the format of {path} by its suffix {path.suffix!r}: expected one of {known}"
        )
    return max(fitting, key=lambda spec: len(spec.suffix))


def read_artifact(path: Path) -> ArtifactFile:
    """Read an exported artifact, each of its files once, and nothing more.

    Raises:
        UserError: it can't be read, or no format has its suffix.
    """
    spec = format_of(path)
    return ArtifactFile(path, spec, read_bundle(path, folder=spec.folder, sidecar=not spec.embeds_metadata))


def open_artifact(artifact: ArtifactFile) -> Runner:
    """Open an artifact to run it: its checksum is right, and its inputs and outputs are as its contract says.

    Raises:
        UserError: it was not made by mnist-edge, was altered since its export, or can't be run here.
    """
    try:
        runner = artifact.open()
        try:
            artifact.bundle.verify_checksum()
            if runner.mismatches:
                raise ArtifactError(runner.mismatches[0])
        except ArtifactError:
            runner.close()
            raise
    except ArtifactError as error:
        raise UserError(
            f"cannot use {artifact.path}: {error}; expected an artifact made by `mnist-edge export`"
        ) from error
    return runner
