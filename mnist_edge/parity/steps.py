"""What long work says of itself while it goes on."""

from collections.abc import Callable

OnStep = Callable[[str], None]
"""Takes what is done next, in a few words."""


def nothing(_: str) -> None:
    """Let nobody know."""


def of_file(name: str, on_step: OnStep) -> OnStep:
    """Return what takes the steps of one file and gives them to `on_step` with its name before each."""
    return lambda step: on_step(f"{name}: {step}")
