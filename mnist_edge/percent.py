"""Shares in percent, rounded so that what is printed as passing passes."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_CENT = Decimal("0.01")


def percent_down(share: float) -> str:
    """Return a share in percent, rounded down to two decimals: what passes, so that only all of them are 100.00."""
    return str(_percent(share).quantize(_CENT, ROUND_FLOOR))


def percent_up(share: float) -> str:
    """Return a share in percent, rounded up to two decimals, after what the rounding of floats added is taken off."""
    return str(_percent(round(share, 12)).quantize(_CENT, ROUND_CEILING))


def percent_of_bound(share: float) -> str:
    """Return a share in percent as somebody asked for it: with two decimals, or up to four where it has more."""
    percent = round(_percent(share), 4)
    short = percent.quantize(_CENT)
    return str(short) if short == percent else f"{percent.normalize():f}"


def share_of(percent: float) -> float:
    """Return percent as the share that is meant: `99.9 / 100` is a little more than 0.999."""
    return round(percent / 100, 12)


def _percent(share: float) -> Decimal:
    return 100 * Decimal(repr(float(share)))  # numpy's numbers say their type, too
