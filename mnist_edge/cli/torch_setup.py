"""What must be said to the libraries beneath torch before it is imported, and its number of threads."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from mnist_edge.errors import UserError

threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads of torch; the bytes of a CNN depend on how many.",
)


device = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "mps", "auto"]),
    default="cpu",
    show_default=True,
    help="Where to train; the same bytes are promised for the cpu alone.",
)


def wait_passively() -> None:
    """Let threads that wait for others sleep (`OMP_WAIT_POLICY` of the OpenMP specification).

    By default they spin, and on a machine whose cores have other work that takes the time from the very threads that
    they wait for.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def round_reproducibly() -> None:
    """Ask Intel MKL for results that depend neither on threads nor on where arrays lie.

    Without it, its matrix products may round differently from run to run ("Conditional Numerical Reproducibility" in
    the oneMKL developer guide). It costs no time that could be measured, and where torch has no MKL it does nothing.
    """
    os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Compute with this many threads; imports torch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device_of(name: str) -> str:
    """Return the device of that name, for `auto` the fastest that torch finds; imports torch.

    Raises:
        UserError: torch finds no such device.
    """
    import torch

    there: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if name == "auto":
        return next(each for each, is_there in there.items() if is_there())
    if not there[name]():
        raise UserError(f"torch {torch.__version__} finds no device {name!r} here: choose --device cpu, or auto")
    return name
