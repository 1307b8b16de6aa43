import dataclasses

import pytest

from mnist_edge.cli.few_images import note_few_images
from mnist_edge.cli.tables import verdict_table
from mnist_edge.parity.parity_report import ParityReport


def test_files_that_so_few_images_can_prove_little_of_are_named(
    reports: dict[str, ParityReport], capsys: pytest.CaptureFixture[str]
) -> None:
    every = list(reports.values())
    note_few_images(every)
    note_few_images([dataclasses.replace(report, images=2_000) for report in every])
    note_few_images([dataclasses.replace(reports["mnist-mlp.onnx"], images=2)])
    note_few_images([dataclasses.replace(reports["mnist-mlp-int8.onnx"], images=1_000)])
    assert capsys.readouterr().err == ""
    note_few_images([dataclasses.replace(reports[f"mnist-mlp{name}.onnx"], images=999) for name in ("", "-int8")])
    assert capsys.readouterr().err == (
        "mnist-mlp-int8.onnx: of 999 test images, one answer is 0.11%, which is more than may be lost: add test images "
        "for a stronger proof\n"
    )


def test_a_verdict_says_on_how_many_images_it_rests(reports: dict[str, ParityReport]) -> None:
    report = reports["mnist-mlp.onnx"]
    few, one = (dataclasses.replace(report, images=images) for images in (36, 1))
    assert verdict_table([report]).line_above == "compared on 10,000 test images:"
    both = verdict_table([few, report], "exported to exports")
    assert both.line_above == "exported to exports, compared on 36 to 10,000 test images:"
    assert verdict_table([one]).line_above == "compared on 1 test image:"
    unread = dataclasses.replace(few, comparisons=())
    assert verdict_table([unread, report]).line_above == "compared on 10,000 test images:"
    assert verdict_table([unread]).line_above == ""
    assert verdict_table([unread], "exported to exports").line_above == "exported to exports:"
