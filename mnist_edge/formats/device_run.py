"""What the module `devices` of a format gives: an artifact on an emulated device."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.types import Images, Logits


@dataclass(frozen=True, eq=False)
class DeviceRun:
    """An artifact on an emulated device.

    Attributes:
        target: name of the device.
        title: the same for people.
        tools: what made the program, or ran it, with its version and flags.
        logits: of the images, float32 `[N, classes]`.
    """

    target: str
    title: str
    tools: str
    logits: Logits = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON types, without the logits."""
        return {"target": self.target, "title": self.title, "tools": self.tools}


@dataclass(frozen=True, eq=False)
class FirmwareRun(DeviceRun):
    """An artifact that is all the program there is on an emulated device, so that what it takes can be measured.

    Attributes:
        code: bytes of the program's instructions.
        constants: bytes of its numbers, which stay in the flash.
        variables: bytes of memory that it writes to, with the image and the logits, without the stack.
        stack: most bytes of the stack that were used.
        counted: on how many images instructions were counted.
        instructions: of an image: least, median, most.
    """

    code: int
    constants: int
    variables: int
    stack: int
    counted: int
    instructions: tuple[int, int, int]

    @property
    def flash(self) -> int:
        """Bytes of code and constants."""
        return self.code + self.constants

    @property
    def ram(self) -> int:
        """Bytes of variables and stack."""
        return self.variables + self.stack

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON types, without the logits."""
        sizes = ("code", "constants", "flash", "variables", "stack", "ram", "counted")
        least, median, most = self.instructions
        return {
            **super().to_json(),
            **{name: getattr(self, name) for name in sizes},
            "instructions": {"least": least, "median": median, "most": most},
        }


class DevicesModule(Protocol):
    """The module `devices` of a format that has `targets`; it runs on the build machine."""

    def run_on(self, bundle: Bundle, name: str, images: Images) -> DeviceRun:
        """Run an artifact on a target.

        Raises:
            ArtifactError: it can't be run there.
            UserError: what this needs is not installed.
        """
        ...

    def unavailable(self) -> str:
        """Return why nothing can be run on these devices here, and how to mend that; empty where it can."""
        ...
