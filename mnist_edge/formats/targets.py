"""Which emulated devices are meant by names, over all formats that have some."""

from collections.abc import Iterable, Sequence

from mnist_edge.errors import UserError
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.registry import FORMATS

ALL = "all"
"""Stands for every target that can be emulated here."""


def chosen_targets(names: Iterable[str], specs: Iterable[FormatSpec]) -> tuple[str, ...]:
    """Return the targets that are meant, each once, in the order of the formats.

    `all` stands for those of the formats whose emulators are installed, if some are.

    Raises:
        UserError: no format has one of that name, nothing can be emulated here, or a single name was given.
    """
    having = list({spec.name: spec for spec in specs if spec.targets}.values())
    known = _targets_of(having)
    if isinstance(names, str):
        raise UserError(f"the targets are {names!r}, expected a list of names: [{names!r}]")
    wanted = set(names)
    if wanted and not known:
        raise UserError(
            "none of these formats runs on emulated devices: leave out --target, or name a file of a format that does"
        )
    if unknown := sorted(wanted - {*known, ALL}):
        others = [spec.name for spec in FORMATS.values() if unknown[0] in spec.targets]
        problem = (
            f"{unknown[0]} runs {' and '.join(others)} files alone" if others else f"unknown target {unknown[0]!r}"
        )
        raise UserError(f"{problem}: expected one of {', '.join([*known, ALL])}")
    if ALL not in wanted:
        return tuple(name for name in known if name in wanted)
    reasons = {spec.name: spec.devices().unavailable() for spec in having}
    there = [spec for spec in having if not reasons[spec.name]]
    if not there:
        raise UserError(f"nothing can be emulated here: {'; '.join(dict.fromkeys(reasons.values()))}")
    return tuple(name for name in known if name in wanted or name in _targets_of(there))


def check_target_images(images: int | None, targets: Sequence[str]) -> None:
    """Return if so many images, None for all, can be given to these emulated devices; raises `UserError` where not."""
    if images is not None and not targets:
        raise UserError("target_images goes with targets: name some, or leave it out")
    if images is not None and images < 1:
        raise UserError(f"target_images is {images}, expected 1 or more, or None for all")


def _targets_of(specs: Iterable[FormatSpec]) -> list[str]:
    return list(dict.fromkeys(target for spec in specs for target in spec.targets))
