"""What no format can give is refused when it is asked for."""

import pytest

from mnist_edge.errors import UserError
from mnist_edge.exporting.settings import ExportSettings
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.scheme import Precision

ONNX, TORCHSCRIPT = FORMATS["onnx"], FORMATS["torchscript"]


def test_what_a_format_does_not_have_is_refused_before_any_work() -> None:
    with pytest.raises(UserError, match=r"torchscript has no opset: leave out --opset$"):
        ExportSettings([TORCHSCRIPT], options={"opset": 17})
    beside = r"torchscript has no opset: leave out --opset, or export torchscript by a command of its own$"
    with pytest.raises(UserError, match=beside):
        ExportSettings([ONNX, TORCHSCRIPT], options={"opset": 17})
    with pytest.raises(UserError, match="onnx has no int8 scheme 'int2': expected one of weight-only-s8"):
        ExportSettings([ONNX], [Precision.INT8], scheme="int2")
    with pytest.raises(UserError, match="torchscript has no int8 scheme 'int2': expected one of dynamic-s8"):
        ExportSettings([TORCHSCRIPT], [Precision.FP32, Precision.INT8], scheme="int2")
    with pytest.raises(UserError, match="none of the formats can be exported in fp16: torchscript has fp32, int8"):
        ExportSettings([TORCHSCRIPT], [Precision.FP16])
    assert ExportSettings([ONNX, TORCHSCRIPT], [Precision.FP16])
    assert ExportSettings([ONNX], scheme="unknown")  # nothing is quantized


def test_an_option_that_is_less_than_a_scheme_needs_is_refused() -> None:
    assert ExportSettings([ONNX], [Precision.INT4], options={"opset": 21})
    with pytest.raises(UserError, match="onnx in int4 needs opset 21 or later: leave out --opset"):
        ExportSettings([ONNX], [Precision.FP32, Precision.INT4], options={"opset": 20})


def test_a_number_of_images_without_targets_is_refused() -> None:
    with pytest.raises(UserError, match="target_images goes with targets: name some, or leave it out"):
        ExportSettings([ONNX], target_images=5)


def test_an_export_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="there is no format to export to: name at least one"):
        ExportSettings([])
    with pytest.raises(UserError, match="there is no precision to export in: name at least one, such as fp32"):
        ExportSettings([ONNX], [])


def test_a_scheme_is_for_the_precisions_that_have_it() -> None:
    for precisions in ([Precision.FP16, Precision.INT8], [Precision.FP32, Precision.INT8, Precision.INT4]):
        settings = ExportSettings([ONNX], precisions, scheme="dynamic-u8")
        for precision in precisions:
            schemes = settings.schemes_of(ONNX, precision)
            assert schemes
            if precision is Precision.INT8:
                assert [scheme.name for scheme in schemes] == ["dynamic-u8"]
            else:
                assert schemes == ONNX.schemes_of(precision)
    with pytest.raises(UserError, match="onnx has no fp16 or int8 scheme 'int2': expected one of "):
        ExportSettings([ONNX], [Precision.FP16, Precision.INT8], scheme="int2")
    with pytest.raises(UserError, match="onnx has no fp16 scheme 'dynamic-u8': expected one of "):
        ExportSettings([ONNX], [Precision.FP16], scheme="dynamic-u8")


@pytest.mark.parametrize("images", [0, -1])
def test_devices_are_given_one_image_at_least(images: int) -> None:
    with pytest.raises(UserError, match=f"target_images is {images}, expected 1 or more, or None for all"):
        ExportSettings([ONNX], targets=("aarch64",), target_images=images)
