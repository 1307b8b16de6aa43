"""Digits that touch: the best way to cut a group of ink, by what the model says of every piece.

The constants were chosen on lines of MNIST's validation images; a third more or less of each has little effect.
"""

from collections.abc import Callable, Sequence
from math import exp, log

from mnist_edge.preprocessing.result import Piece
from mnist_edge.runtime.prediction import Scored

USUAL_ASPECT, ASPECT_DEVIATION = 0.58, 0.35
"""Width of a digit as a share of the height of its line, and how much digits differ in it."""

MIN_HEIGHT_SHARE, LOW_PIECE_COST = 0.9, 3.0
"""A digit has at least this share of its group's height; below that, a piece costs as much times what is missing."""

CUT_COST = 0.1
"""Cost of cutting through one width of a stroke."""

DIGIT_COST = 0.2
"""Cost of each digit, so that one is not cut into two without need."""

ENERGY_WEIGHT, ENERGY_SCALE = 5.0, 2.5
"""How much it counts whether a piece is a digit at all, and the energy by which the odds of that change by e."""

MIN_SHARE_OF_WIDTH, MAX_SHARE_OF_WIDTH = 0.6, 1.2
"""What the model says of a piece counts by its width in usual digits, between these limits.

So more digits do not cost more by themselves.
"""

WHOLE_BONUS, MAX_WHOLE_ASPECT = 3.0, 1.3
"""What speaks for leaving a group whole, if it is not wider than the widest digits, as a share of its line's height."""


def split_group(
    pieces: Sequence[Piece], read: Callable[[Piece], Scored], height_share: float = 1.0
) -> list[tuple[Piece, Scored]]:
    """Return the digits of a group of ink, from left to right; a single one where it need not be cut.

    The pieces are the edges of a graph whose nodes are the cuts. The best path through it is found by dynamic
    programming, as in the segmentation graphs of LeCun et al. (1998), section V.

    Args:
        pieces: of the group, by where they stop; one of them is the whole of it.
        read: asks the model for a piece.
        height_share: height of the group as a share of that of the digits beside it, in (0, 1].
    """
    best: dict[int, tuple[float, list[tuple[Piece, Scored]]]] = {0: (0.0, [])}
    for piece in pieces:
        if piece.start not in best:
            continue
        scored = read(piece)
        before, path = best[piece.start]
        whole = (piece.start, piece.stop) == (0, pieces[-1].stop)
        aspect = piece.aspect * height_share
        one = whole and aspect < MAX_WHOLE_ASPECT
        total = before + _score(piece, aspect, scored) + (WHOLE_BONUS if one else 0.0)
        if piece.stop not in best or total > best[piece.stop][0]:
            best[piece.stop] = total, [*path, (piece, scored)]
    return best[pieces[-1].stop][1]


def _score(piece: Piece, aspect: float, scored: Scored) -> float:
    """Return how well a piece does as a digit: a logarithm of probabilities, less what its shape and its cut cost.

    `aspect` is its width as a share of the height of the digits of its line.
    """
    best, probabilities, energy, _ = scored
    is_digit = -log(1 + exp(min(50.0, -energy / ENERGY_SCALE)))
    share_of_width = min(MAX_SHARE_OF_WIDTH, max(MIN_SHARE_OF_WIDTH, aspect / USUAL_ASPECT))
    answer = share_of_width * (log(max(probabilities[best], 1e-9)) + ENERGY_WEIGHT * is_digit)
    shape = ((aspect - USUAL_ASPECT) / ASPECT_DEVIATION) ** 2 / 2
    low = LOW_PIECE_COST * max(0.0, MIN_HEIGHT_SHARE - piece.height)
    return answer - shape - low - CUT_COST * piece.strokes_cut - DIGIT_COST
