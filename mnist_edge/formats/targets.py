"""Which emulated devices are meant by names, over all formats that have some."""

from collections.abc import Iterable

from mnist_edge.errors import UserError
from mnist_edge.formats.base import FormatSpec

ALL = "all"
"""Stands for every target of a format."""


def chosen_targets(names: Iterable[str], specs: Iterable[FormatSpec]) -> tuple[str, ...]:
    """Return the targets that are meant, each once, in the order of the formats.

    Raises:
        UserError: no format has one of that name.
    """
    known = list(dict.fromkeys(target for spec in specs for target in spec.targets))
    wanted = set(names)
    if wanted and not known:
        raise UserError("none of these formats runs on emulated devices: leave out --target, or name a file of c")
    if unknown := sorted(wanted - {*known, ALL}):
        raise UserError(f"unknown target {unknown[0]!r}: expected one of {', '.join([*known, ALL])}")
    return tuple(known) if ALL in wanted else tuple(name for name in known if name in wanted)
