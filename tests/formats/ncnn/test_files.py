"""An ncnn model's text is read before ncnn is given it; what it reads past the end of stays in the sandbox."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.ncnn.files import PARAM, WEIGHTS, check_param, pack, unpack
from mnist_edge.formats.registry import FORMATS, read_artifact

Change = Callable[[dict[str, bytes]], dict[str, bytes]]


@pytest.fixture(scope="module")
def good(exported: list[Artifact]) -> Bundle:
    (artifact,) = [a for a in exported if a.format == "ncnn" and a.contract.precision == "fp32"]
    return read_artifact(artifact.path).bundle


def in_text(old: str, new: str) -> Change:
    def changed(files: dict[str, bytes]) -> dict[str, bytes]:
        text = files[PARAM].decode()
        assert re.search(old, text)
        return {**files, PARAM: re.sub(old, new, text, count=1).encode()}

    return changed


HOSTILE: dict[str, Change] = {
    "a layer of somebody else's": in_text("InnerProduct", "EvilLayer"),
    "another magic number": in_text("^7767517", "7767518"),
    "fewer layers than it counts": in_text(r"\n5 5", "\n9 9"),
    "more blobs than it counts": in_text(r"\n5 5", "\n5 1"),
    "more inputs than names": in_text("1 1 in0", "9 1 in0"),
    "a name with signs": in_text("fcrelu_0", "fc;relu"),
    "a huge layer": in_text("0=128", "0=999999999"),
    "a huge array": in_text("0=128", "-23300=2,1,999999999"),
    "a huge count of activation parameters": in_text("0=128", "-23310=999999999,0.0,6.0"),
    "a part of an activation parameter": in_text("0=128", "-23310=1.5,0.0,6.0"),
    "a huge array of fractions": in_text("0=128", "-23300=2,0.5,1e30"),
    "an infinite activation parameter": in_text("0=128", "-23310=2,0.0,1e999"),
    "a huge fraction that is not a bound": in_text("0=128", "2=1e30"),
    "a field of no kind": in_text("0=128", "0=x"),
    "no end": lambda files: {**files, PARAM: files[PARAM][: len(files[PARAM]) // 2]},
    "letters of no alphabet": lambda files: {**files, PARAM: b"\xff" + files[PARAM]},
    "no text": lambda files: {name: data for name, data in files.items() if name != PARAM},
    "no weights": lambda files: {name: data for name, data in files.items() if name != WEIGHTS},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_refused(name: str, good: Bundle) -> None:
    with pytest.raises(ArtifactError) as caught:
        FORMATS["ncnn"].open(Bundle(HOSTILE[name](dict(good.files)), folder=True))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


ACTIVATED = """7767517
6 6
Input                    in0        0 1 in0
Convolution              conv_0     1 1 in0 1 0=4 1=3 -23310=2,0.0,6.0 11=3 12=1 13=1 14=0 2=1 3=1 4=0 5=1 6=36 9=3
ConvolutionDepthWise     conv_1     1 1 1 2 0=4 1=1 -23310=1,0.1 11=1 12=1 13=1 14=0 2=1 3=1 4=0 5=1 6=4 7=4 9=2
InnerProduct             linear_2   1 1 2 3 0=10 1=1 -23310=2,0.0,3.40282347e38 2=40 9=3
Convolution1D            conv_4     1 1 3 4 0=4 1=3 -23310=2,0.0,3.40282347e38 15=1 2=1 3=1 4=1 5=1 6=36 9=3
Clip                     clamp_3    1 1 4 out0 0=-1.0 1=1.000000e9
"""


def test_parameters_of_activations_may_be_fractions_and_have_any_size() -> None:
    check_param(ACTIVATED)


ROWS = """7767517
7 8
Input                    in0        0 1 in0
Split                    split      1 2 in0 1 2
Reshape                  before     1 1 1 3 6="0w,-1"
Gemm                     gemm       1 1 3 4 10=4 2=0 3=1 4=0 5=1 6=1 7=12 8=12 9=12
Reshape                  after      2 1 4 2 5 6="0w,1h,1d,1c"
Flatten                  flatten    1 1 5 6
InnerProduct             last       1 1 6 out0 0=5 1=1 2=720
"""


def test_a_reshape_may_take_its_sizes_from_what_it_is_given() -> None:
    check_param(ROWS)


@pytest.mark.parametrize(
    "sizes", ["*(0w,16777216),-1", "0w,16777216", "0n,-1", "10w,-1", "0w,1h,1d,1c,-1", "max(0w,1)", "", "0w,", "w,-1"]
)
def test_a_reshape_whose_sizes_are_computed_is_refused(sizes: str) -> None:
    with pytest.raises(ArtifactError, match=r"a layer Reshape of its model\.ncnn\.param has sizes that are computed"):
        check_param(ROWS.replace("0w,-1", sizes))


def test_only_a_reshape_takes_its_sizes_from_what_it_is_given() -> None:
    with pytest.raises(ArtifactError, match=r"a layer Flatten of its model\.ncnn\.param is damaged"):
        check_param(ROWS.replace("1 1 5 6", '1 1 5 6 6="0w,-1"'))


HARMLESS_OUTSIDE: dict[str, Change] = {
    "weights that end": lambda files: {**files, WEIGHTS: files[WEIGHTS][:100]},
    "a blob that is not there": in_text(r"1 1 1 2 0=128", "1 1 nowhere 2 0=128"),
    "attention of no heads": in_text("InnerProduct(.*) 1=1", r"MultiHeadAttention\1 1=0"),
    "parts of no group": in_text("InnerProduct(.*) 0=.*", r"ShuffleChannel\1 0=0"),
    "a part behind the end": in_text("InnerProduct(.*) 0=.*", r"Slice\1 -23300=1,16777216 1=0"),
    "a part of less than nothing": in_text("InnerProduct(.*) 0=.*", r"Slice\1 -23300=1,-16777216 1=2"),
    "parts that are not listed": in_text("InnerProduct(.*) 0=.*", r"Slice\1 1=-7"),
    "a sum of one": in_text("InnerProduct(.*) 0=.*", r"Eltwise\1 0=1 -23301=0"),
    "a gate of nothing": in_text("InnerProduct(.*) 0=.*", r"GLU\1 0=9"),
    "a normalization of other sides": in_text("InnerProduct(.*) 0=.*", r"RMSNorm\1 0=16777216 1=0.0 2=1"),
    "sizes of what is not given": in_text("0=784 1=1", '6="9w,-1"'),
    "a layer that is as large as is allowed": in_text("0=128", "0=16777216"),
}


@pytest.mark.parametrize("name", HARMLESS_OUTSIDE)
def test_what_ncnn_stumbles_over_ends_in_an_error_or_an_answer_never_here(name: str, good: Bundle) -> None:
    """The process that runs it may end; this one is told so in one line, or gets numbers that the proof rejects."""
    reason = ""
    try:
        with FORMATS["ncnn"].open(Bundle(HARMLESS_OUTSIDE[name](dict(good.files)), folder=True)) as runner:
            given = runner.predict_in_batches(runner.test_vectors.inputs, 1)
            assert not np.allclose(given, runner.test_vectors.expected_logits, atol=1e-4)
    except ArtifactError as error:
        reason = str(error)
    assert "\n" not in reason


@given(data=st.data())
def test_a_damaged_text_is_an_error_or_passes(data: st.DataObject, good: Bundle) -> None:
    text = good.files[PARAM]
    position = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:position] + bytes([data.draw(st.integers(0, 127))]) + text[position + 1 :]
    reason = ""
    try:
        check_param(damaged.decode())
    except ArtifactError as error:
        reason = str(error)
    assert "\n" not in reason


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1, 27, 28), np.float32),
        np.full((1, 1, 28, 28), np.inf, np.float32),
        np.where(np.arange(784).reshape(1, 1, 28, 28) == 77, np.float32(np.nan), np.float32(0)),
    ],
)
def test_images_that_do_not_fit_are_refused(image: np.ndarray, good: Bundle) -> None:
    with FORMATS["ncnn"].open(good) as runner, pytest.raises(ArtifactError, match="it takes"):
        runner.predict_in_batches(image, 1)


def test_both_files_travel_in_one_message() -> None:
    assert unpack(pack("a\nb", b"\x00\x01")) == ("a\nb", b"\x00\x01")
