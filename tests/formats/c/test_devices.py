"""Headers on emulated processors: the bits of this machine, and budgets of memory and instructions."""

import pytest

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.c.devices import run_on
from mnist_edge.formats.c.host import open_host
from mnist_edge.formats.c.reader import read
from mnist_edge.formats.c.targets import TARGETS
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.devices import equal_logits
from mnist_edge.parity.reference import Reference
from tests.formats.c.networks import BYTES
from tests.parity.unjudged import unjudged

IMAGES = 12


@pytest.fixture(scope="module")
def mlp(reference: Reference) -> Bundle:
    return unjudged(FORMATS["c"], reference, BYTES.name).bundle


def equal(bundle: Bundle, reference: Reference, target: str, flags: tuple[str, ...] = ("-std=c99", "-O2")) -> None:
    images = reference.images[:IMAGES]
    here = open_host(read(bundle)).logits_of_floats(images)
    assert equal_logits(run_on(bundle, target, images, flags).logits, here) == IMAGES


def test_the_registry_names_the_targets() -> None:
    assert FORMATS["c"].targets == tuple(TARGETS)


@pytest.mark.slow
def test_the_mlp_keeps_its_budget_on_a_cortex_m4(mlp: Bundle, reference: Reference) -> None:
    """Instructions, unlike seconds, are the same each time."""
    run = run_on(mlp, "cortex-m4", reference.images[:IMAGES])
    here = open_host(read(mlp)).logits_of_floats(reference.images[:IMAGES])
    assert equal_logits(run.logits, here) == IMAGES
    least, median, most = run.instructions
    assert 50_000 < least <= median <= 110_000
    assert most <= 165_000
    assert run.flash <= 116_000
    assert run.ram <= 2_000
    assert read(mlp).workspace_bytes + 784 + 40 == run.variables
    assert 0 < run.stack < 500
    assert "-O2 -target thumb-freestanding-eabihf -mcpu=cortex_m4" in run.tools
    again = run_on(mlp, "cortex-m4", reference.images[:IMAGES])
    assert again.to_json() == run.to_json()


@pytest.mark.slow
def test_the_cnn_keeps_its_budget_on_a_cortex_m4(cnn_reference: Reference) -> None:
    bundle = unjudged(FORMATS["c"], cnn_reference, BYTES.name).bundle
    run = run_on(bundle, "cortex-m4", cnn_reference.images[:IMAGES])
    here = open_host(read(bundle)).logits_of_floats(cnn_reference.images[:IMAGES])
    assert equal_logits(run.logits, here) == IMAGES
    assert run.instructions[1] <= 6_200_000
    assert run.flash <= 62_000
    assert run.ram <= 11_000


@pytest.mark.parametrize("target", ["wasm32", "aarch64"])
def test_other_processors_give_the_same_bits(target: str, mlp: Bundle, reference: Reference) -> None:
    equal(mlp, reference, target)


@pytest.mark.slow
@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ("cortex-m4", "wasm32", "aarch64")])
def test_all_processors_give_the_same_bits(target: str, mlp: Bundle, reference: Reference) -> None:
    equal(mlp, reference, target)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_clang_gives_the_same_bits_at_every_level_where_it_could_fuse(
    level: str, mlp: Bundle, reference: Reference
) -> None:
    floats = unjudged(FORMATS["c"], reference).bundle
    for bundle in (mlp, floats):
        equal(bundle, reference, "aarch64", ("-std=gnu99", level))


@pytest.mark.slow
def test_floats_are_not_fused_where_the_processor_could(reference: Reference) -> None:
    equal(unjudged(FORMATS["c"], reference).bundle, reference, "aarch64")
