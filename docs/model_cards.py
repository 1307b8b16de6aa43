"""The cards of the built-in models, in the form of Hugging Face's, and the README's tables of what was measured.

All of it is made from `release/measured.json` (`measure_release.py`), the checkpoints and the contracts of the files.
Without `--write`, the cards are printed; `make model-cards` measures, and writes them to `release/`.
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from measure_release import ONNX, ROOT, read_measured
from readme_blocks import markdown_table, write_blocks

from mnist_edge.atomic import atomic_write
from mnist_edge.formats.registry import FORMATS, open_artifact, read_artifact
from mnist_edge.formats.scheme import Precision, Tolerance
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint
from mnist_edge.training.datasets.registry import dataset_spec

INT8 = str(Precision.INT8)

_TEMPLATES = jinja2.Environment(  # noqa: S701 - Markdown of the project's own files
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def card_path(name: str) -> Path:
    """Return where the card of a built-in model is."""
    return ROOT / "release" / f"mnist-{name}.md"


def card(name: str) -> str:
    """Return the card of a built-in model as Markdown with YAML front matter."""
    measured = read_measured()[name]
    checkpoint = load_checkpoint(card_path(name).with_suffix(".safetensors"))
    path = BUILTIN_MODELS[name]
    with open_artifact(read_artifact(path)) as runner:
        contract = runner.contract
    return _TEMPLATES.get_template("model_card.md.jinja").render(
        name=name,
        file=path.stem,
        builtin=path.relative_to(ROOT).as_posix(),
        task=checkpoint.task.name,
        checkpoint=checkpoint,
        checkpoint_file=card_path(name).with_suffix(".safetensors").name,
        contract=contract,
        license=contract.license,
        input=checkpoint.task.input,
        shape=", ".join(map(str, checkpoint.task.input.shape)),
        producer=", ".join(f"{package} {version}" for package, version in contract.producer.items()),
        trained=measured["trained"],
        int8=measured["files"][INT8],
        figures=_figures(measured),
        recipe=_recipe(checkpoint),
        validation=dataset_spec(checkpoint.task.name).validation_size,
        share=share,
    )


def share(figures: Mapping[str, Any]) -> float:
    """Return the accuracy, in [0, 1]."""
    correct: int = figures["correct"]
    images: int = figures["images"]
    return correct / images


def parity_table() -> str:
    """Return what is required of a file in each precision, and what the released models' ONNX files come to."""
    measured = read_measured()
    header = ("precision", "required of every file", *(f"{name.upper()} as ONNX" for name in measured))
    return markdown_table(
        header,
        (
            (
                precision,
                f"{_required(ONNX.schemes_of(precision)[0].tolerance)}; at batch {judged_at(precision)}",
                *(_agreement(model["files"][precision], precision) for model in measured.values()),
            )
            for precision in ONNX.precisions
        ),
    )


def builtin_table() -> str:
    """Return the built-in models: size, accuracy and agreement."""
    header = ("`--model`", "network", "file", "MNIST test", "95 % interval", "same answers as the trained model")
    rows = []
    for name, model in read_measured().items():
        file, trained = model["files"][INT8], model["trained"]
        rows.append(
            (
                f"`{name}`" + (", the default" if name == next(iter(BUILTIN_MODELS)) else ""),
                f"{name.upper()}, {trained['parameters']:,} parameters",
                f"{file['bytes'] / 1000:.0f} kB",
                f"{share(file):.2%}",
                _interval(file),
                f"{file['images'] - file['changed']:,} of {file['images']:,}",
            )
        )
    return markdown_table(header, rows)


def judged_at(precision: Precision) -> str:
    """Return the batch sizes at which files of a precision are judged, in all formats that have it."""
    having = [(spec, scheme) for spec in FORMATS.values() for scheme in spec.schemes_of(precision)]
    *before, last = [f"{batch:,}" for batch in having[0][1].tolerance.batches]
    usual = " and ".join([", ".join(before), last] if before else [last])
    fixed = {spec.batch for spec, scheme in having if spec.batches(scheme) != scheme.tolerance.batches}
    assert fixed <= {1}, "the words are for formats that take one image"
    return f"{usual} (1 in formats that take one image at a time)" if fixed else usual


def _required(tolerance: Tolerance) -> str:
    parts = [
        "every answer the same"
        if tolerance.min_agreement == 1
        else f"at least {100 * tolerance.min_agreement:.1f} % of the answers the same"
    ]
    if tolerance.max_abs_diff is not None:
        parts.append(f"every logit within {tolerance.max_abs_diff:g}")
    if tolerance.max_accuracy_drop:
        parts.append(f"the accuracy at most {100 * tolerance.max_accuracy_drop:.2f} points lower")
    return "; ".join(parts)


def _agreement(figures: Mapping[str, Any], precision: Precision) -> str:
    same = figures["images"] - figures["changed"]
    logits = f", largest \\|Δlogit\\| {figures['max_abs_diff']:.1e}" if precision is Precision.FP32 else ""
    if precision is Precision.FP16:
        logits = f", largest \\|Δlogit\\| {figures['max_abs_diff']:.4f}"
    return f"{same:,} of {figures['images']:,} the same{logits}"


def _interval(figures: Mapping[str, Any]) -> str:
    low, high = figures["interval_95"]
    return f"{100 * low:.2f} – {100 * high:.2f} %"


def _figures(measured: Mapping[str, Any]) -> str:
    rows = [("trained model, PyTorch", f"{share(measured['trained']):.2%}", _interval(measured["trained"]), "", "")]
    rows += [
        (
            f"ONNX {precision}" + (", this file" if precision == INT8 else ""),
            f"{share(file):.2%}",
            _interval(file),
            f"{file['changed']} of {file['images']:,}",
            f"{file['max_abs_diff']:.2g}",
        )
        for precision, file in measured["files"].items()
    ]
    return markdown_table(("", "accuracy", "95 % interval", "answers changed", "largest \\|Δlogit\\|"), rows)


def _recipe(checkpoint: Checkpoint) -> str:
    assert checkpoint.recipe is not None, "the built-in models were trained here"
    settings = dataclasses.asdict(checkpoint.recipe)
    settings |= {f"augmentation: {name}": value for name, value in settings.pop("augmentation").items()}
    del settings["name"]
    return markdown_table(
        ("setting", "value"), ((name.replace("_", " "), str(value)) for name, value in settings.items())
    )


def main() -> None:
    """Print the cards, or write them and the README's tables."""
    for name in BUILTIN_MODELS:
        if "--write" in sys.argv[1:]:
            atomic_write(card_path(name), card(name).encode())
        else:
            print(card(name))
    if "--write" in sys.argv[1:]:
        write_blocks([("parity", parity_table()), ("built-in", builtin_table())])


if __name__ == "__main__":
    main()
