"""The server of `tests.warm`: its forks compute alike, so that tests may compare what two of them wrote."""

import os
import subprocess

from tests import warm

PRODUCT = """
import hashlib
import torch
generator = torch.Generator().manual_seed(0)
left, right = torch.randn(1000, 784, generator=generator), torch.randn(784, 128, generator=generator)
print(hashlib.sha256((left @ right).numpy().tobytes()).hexdigest())
"""


def test_forks_round_alike_whatever_they_are_told() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    variants: tuple[dict[str, str], ...] = ({}, {"MKL_CBWR": "AVX2,STRICT"}, {"MKL_CBWR": "COMPATIBLE"})
    products = {
        subprocess.run(
            [*warm.PYTHON, "-c", PRODUCT], env=environment | variant, capture_output=True, text=True, check=True
        ).stdout
        for variant in variants
    }
    assert len(products) == 1, products
