import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mnist_edge.errors import UserError
from mnist_edge.preprocessing.registry import PREPROCESSINGS, load_preprocessing
from mnist_edge.types import TensorSpec
from tests.conftest import ROOT
from tests.preprocessing.hostile_pictures import seven

GRAY = TensorSpec("image", (1, 28, 28))


@pytest.mark.parametrize("key", PREPROCESSINGS)
def test_every_version_gives_what_it_says(key: str) -> None:
    preprocessing = load_preprocessing(key, GRAY)
    output = preprocessing.output
    for picture in (seven(), seven("RGBA", (300, 200)), Image.open(ROOT / "examples" / "two.png")):
        result = preprocessing.preprocess(picture)
        assert result.tensor.shape == (1, *output.shape)
        assert result.tensor.dtype == output.dtype
        assert output.range[0] <= result.tensor.min() < result.tensor.max() <= output.range[1]
        assert np.array_equal(result.stages[-1].image, result.tensor[0, 0])
        again = preprocessing.as_model_input(result.tensor[0, 0])
        assert again is None or np.array_equal(again, result.tensor)


def test_an_unknown_version_is_one_line_that_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"there is no preprocessing 'mnist/1': expected one of mnist/3, resize/1"):
        load_preprocessing("mnist/1", GRAY)


def test_the_registry_imports_no_third_party_package() -> None:
    program = (
        "import sys, mnist_edge.preprocessing.registry\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'numpy', 'PIL'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
