"""Networks of one's own: a class or a function in a file or a module that the user named.

The code runs with all the rights of the process, so it is loaded from nowhere but the command line or the caller. A
checkpoint records the name alone, and asks for the code again.
"""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mnist_edge.artifact.contract import Task
from mnist_edge.artifact.names import recorded_name
from mnist_edge.errors import MnistEdgeError, UserError
from mnist_edge.outside import is_from_outside
from mnist_edge.training.architectures.normalization import Normalization
from mnist_edge.training.architectures.own_code import (
    article,
    import_definition,
    prints_to_stderr,
    raised,
    refuse_unprepared,
)
from mnist_edge.training.trial import TOLERANCE

T = TypeVar("T")

NETWORK = "network."
"""What the names of the weights of a network of the user's begin with."""

TRIAL_IMAGES = 2
"""Images that a new network is tried on: batch normalization can't train on a single one."""


class TooManyLogitsError(UserError):
    """A network gives more logits for each image than there are labels."""


@dataclass(frozen=True)
class OwnArchitecture:
    """What the user named with `--arch`.

    Attributes:
        spec: as it was named, with the folders of the file.
        definition: the class or function.
        normalization: that its network was trained with, or None for one that takes images as they are.
    """

    spec: str
    definition: Callable[..., object]
    normalization: Normalization | None = None

    @property
    def name(self) -> str:
        """The name that checkpoints and contracts record."""
        return recorded_name(self.spec)

    def make(self, task: Task) -> "OwnNetwork":
        """Return the network for a task, its weights drawn from torch's global generator.

        The class or function is called with those of the arguments `task`, `num_classes` and `in_channels` that it
        names. The network is then tried on a few images, as `[N, channels, height, width]` and else as `[N, values]`.

        Raises:
            UserError: the code raises, asks for other arguments, or does not give a network of the task's sizes.
        """
        images = _trial_images(task)
        own = self._wrapped(task, flat=False)
        try:
            logits = self.run("with images", lambda: own(images))
            self._check_logits(logits, task, len(images))  # of a linear layer they have as many sides as the images
        except UserError as as_images:
            own = self._wrapped(task, flat=True)  # made again: lazy layers keep the first size they see
            try:
                logits = self.run("with flat images", lambda: own(images))
            except UserError:
                raise as_images from None
            self._check_logits(logits, task, len(images))
        self._check_answers(own, logits, task)
        practice = copy.deepcopy(own).train()  # what it learns of the images is thrown away
        self.run("in training", lambda: practice(images))
        return own.train()

    def _wrapped(self, task: Task, *, flat: bool) -> "OwnNetwork":
        return OwnNetwork(self._made(task), self.normalization, flat=flat).eval()

    def _made(self, task: Task) -> nn.Module:
        arguments = self._arguments(task)
        made = self.run("when it is called", lambda: self.definition(**arguments))
        if not isinstance(made, nn.Module):
            raise UserError(f"{self.spec} gives {article(type(made).__name__)}, expected a torch.nn.Module")
        refuse_unprepared(made)
        return made

    def _arguments(self, task: Task) -> dict[str, Any]:
        """Return the arguments that the class or function names; raises `UserError` where it requires others."""
        offered = {"task": task, "num_classes": len(task.labels), "in_channels": task.input.shape[0]}
        try:
            parameters = inspect.signature(self.definition).parameters.values()
        except (TypeError, ValueError):  # code that is not Python's
            return {}
        by_name = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
        required = [
            each.name
            for each in parameters
            if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
        if unknown := [name for name in required if name not in offered or name not in {e.name for e in by_name}]:
            raise UserError(
                f"{self.spec} asks for the argument {unknown[0]!r}, which is not known here: give it a default; "
                f"{', '.join(offered)} are given where they are named"
            )
        return {each.name: offered[each.name] for each in by_name if each.name in offered}

    def _check_logits(self, logits: object, task: Task, images: int) -> None:
        expected = [images, len(task.labels)]
        if not isinstance(logits, Tensor):
            raise UserError(f"{self.spec} answers with {article(type(logits).__name__)}, expected one tensor of logits")
        if logits.layout != torch.strided:
            raise UserError(f"{self.spec} gives {logits.layout} logits, expected dense ones: return logits.to_dense()")
        if logits.is_meta:
            raise UserError(
                f"{self.spec} gives logits on the meta device, which holds no numbers: let its layers be on the CPU"
            )
        if list(logits.shape) != expected or logits.dtype != torch.float32:
            kind = str(logits.dtype).removeprefix("torch.")
            too_many = logits.dim() == 2 and logits.shape[1] > len(task.labels)
            raise (TooManyLogitsError if too_many else UserError)(
                f"{self.spec} gives {kind} {list(logits.shape)} for {images} image{'s' if images > 1 else ''}, "
                f"expected float32 {expected}: one logit for each of the {len(task.labels)} labels"
                f"{_as_expected(logits, expected)}"
            )

    def _check_answers(self, own: "OwnNetwork", logits: Tensor, task: Task) -> None:
        """Raise `UserError` where the logits of the trial images are none, or those of other images or of the draw."""
        images, given = _trial_images(task), _trial_images(task)
        if not logits.isfinite().all():
            raise UserError(f"{self.spec} gives logits that are not finite numbers for images in [0, 1]")
        if _are_probabilities(logits):
            raise UserError(
                f"{self.spec} gives probabilities, expected logits: leave out its last softmax, or let it be "
                "log_softmax"
            )
        again = self.run("with images", lambda: own(given))
        self._check_logits(again, task, TRIAL_IMAGES)
        if not torch.equal(given, images):
            raise UserError(
                f"{self.spec} changes the images that it is given: write `x = x - 0.5`, not `x -= 0.5`, and leave out "
                "inplace=True of what is done first"
            )
        if not torch.equal(logits, again):
            raise UserError(
                f"{self.spec} gives other logits for the same images each time, in eval() too: is a dropout left on? "
                "torch.nn.functional.dropout is on unless it is given training=self.training"
            )
        allowed = TOLERANCE * max(1.0, float(logits.abs().max()))
        for image, beside in zip(images.split(1), logits.split(1), strict=True):  # each: some depend on those before
            alone = self.run("with a single image", partial(own, image))
            self._check_logits(alone, task, 1)
            if not (alone - beside).abs().max() <= allowed:
                raise UserError(
                    f"{self.spec} gives other logits for an image alone than for the same one beside another: let its "
                    "answer depend on no other image, as it does after batch normalization with "
                    "track_running_stats=False, a mean over all images, or a recurrent layer without batch_first=True"
                )

    def run(self, when: str, action: Callable[[], T]) -> T:
        """Return what the user's code gives, without gradients; raises `UserError` as `run_with_gradients`."""
        with torch.no_grad():
            return self.run_with_gradients(when, action)

    def run_with_gradients(self, when: str, action: Callable[[], T]) -> T:
        """Return what the user's code gives; raises `UserError` with the line that raised something.

        What happens outside the code, as a signal or a lack of memory, goes through. What the code prints goes to
        stderr, since stdout is for results.
        """
        try:
            with prints_to_stderr():
                return action()
        except MnistEdgeError:
            raise
        except (Exception, SystemExit) as error:  # the code is the user's, and so are its bugs
            if is_from_outside(error):
                raise
            raise UserError(f"{self.spec} raises {raised(error, self.spec)} {when}") from error


class OwnNetwork(nn.Module):
    """A network of the user's, given images as it takes them; its weights are named `network.…`.

    Those of the layer that normalizes the images, where there is one, are named `prepare.normalize.…`.
    """

    def __init__(self, network: nn.Module, normalization: Normalization | None = None, *, flat: bool) -> None:
        """Wrap a network that takes images, or with `flat` their values in a row, normalized before that or not."""
        super().__init__()
        self.prepare = nn.Sequential()
        if normalization is not None:
            self.prepare.add_module("normalize", normalization.layer())
        if flat:
            self.prepare.add_module("flatten", nn.Flatten())
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float32 `[batch, labels]`, for images, float32 `[batch, channels, height, width]`."""
        logits: Tensor = self.network(self.prepare(image))
        return logits


def _are_probabilities(logits: Tensor) -> bool:
    """Say whether what a network gives for each image, `[N, labels]`, adds up to 1 and is nowhere below 0."""
    sums = logits.sum(1)
    return bool((logits >= 0).all() and torch.allclose(sums, torch.ones_like(sums), rtol=0, atol=1e-4))


def _as_expected(logits: Tensor, expected: list[int]) -> str:
    """Return how logits of another shape than `[images, labels]` become such; nothing where that is not known."""
    images, labels = expected
    if images == 1 and list(logits.shape) == [labels]:
        return "; squeeze() drops the batch of one image: write squeeze(1) or flatten(1)"
    if images == 1 or labels != 2 or logits.shape not in ((images,), (images, 1)):
        return ""
    join = "cat" if logits.dim() == 2 else "stack"
    return (
        f"; of one logit z for the second label, before any sigmoid, return torch.{join}([torch.zeros_like(z), z], 1), "
        "which gives the same probabilities"
    )


def _trial_images(task: Task) -> Tensor:
    """Return a few images of which no two values are the same."""
    shape = (TRIAL_IMAGES, *task.input.shape)
    with torch.inference_mode(mode=False):
        return torch.linspace(0, 1, prod(shape)).reshape(shape)


def load_architecture(spec: str) -> OwnArchitecture:
    """Import the code that `path/to/net.py:Net` or `package.module:Net` names; a module is also looked for here.

    Raises:
        UserError: there is no such code, it raises when it is imported, or it has no class or function of that name.
    """
    return OwnArchitecture(spec, import_definition(spec))
