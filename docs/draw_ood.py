"""Draw `figures/ood.png`, how well the scores rank digits before what is not one, and the table in `pictures.md`."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Generator

from mnist_edge.formats.registry import open_artifact, read_artifact
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS
from mnist_edge.runtime.recognizer import Recognizer, Status
from mnist_edge.training.augment import augment
from mnist_edge.training.datasets.registry import load_test_data
from mnist_edge.training.figures import save_figure
from mnist_edge.training.negatives import negatives
from mnist_edge.training.ood import PICTURE_STRENGTH, energy_scores, margin_scores
from mnist_edge.training.recipe import recipe_for
from mnist_edge.types import Images, Logits

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "pictures.md"
BEGIN, END = "<!-- negatives -->", "<!-- /negatives -->"
DIGITS = 2_000
"""Test images, distorted as pictures are, that the negatives are compared with."""


def distorted_digits(name: str) -> Images:
    """Return test images as the thresholds of a built-in model see validation images."""
    test = load_test_data("mnist", ROOT / "data")
    images, labels = test.images[:DIGITS], test.labels[:DIGITS]
    by = recipe_for("robust", name).augmentation.times(PICTURE_STRENGTH)
    return augment(images, labels, by, Generator().manual_seed(1)).numpy()


def answered(recognizer: Recognizer, pictures: Iterable[Image.Image | NDArray[np.float32]]) -> float:
    """Return the share of pictures that are answered as if there were no doubt, in [0, 1]."""
    return float(np.mean([recognizer.predict(picture).status is Status.OK for picture in pictures]))


def table(drawn: dict[str, list[Image.Image]], digits: dict[str, Images]) -> str:
    """Return what share of each kind the built-in models answer as if there were no doubt, as a table in Markdown.

    Args:
        drawn: pictures without a digit, by kind.
        digits: distorted test images, by the name of the model.
    """
    recognizers = {name: Recognizer(name) for name in BUILTIN_MODELS}
    rows = [
        ("pictures", "number", *(f"{name.upper()} answers" for name in recognizers)),
        ("---",) * (2 + len(recognizers)),
    ]
    everything = [picture for kind in drawn.values() for picture in kind]
    for kind, pictures in {**drawn, "all of these": everything}.items():
        shares = (answered(recognizer, pictures) for recognizer in recognizers.values())
        rows.append((kind, f"{len(pictures):,}", *map(percent, shares)))
    shares = (answered(recognizer, digits[name][:, 0]) for name, recognizer in recognizers.items())
    rows.append(("test digits, distorted", f"{DIGITS:,}", *map(percent, shares)))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def percent(share: float) -> str:
    """Return a share as a percentage with one digit."""
    return f"{share:.1%}".replace("%", " %")


def with_table(page: str, text: str) -> str:
    """Return a page with the table between its two markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def ranks(scores: NDArray[np.float64], digits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the digits with a lower score than each of `scores`."""
    return np.searchsorted(np.sort(digits), scores) / len(digits)


def scores_of(logits: Logits, digits: Logits, temperature: float) -> dict[str, NDArray[np.float64]]:
    """Return each score of the logits; the rank is among the logits of digits."""
    both = {
        name: (score(logits, temperature), score(digits, temperature))
        for name, score in (("energy", energy_scores), ("margin", margin_scores))
    }
    lower = np.minimum(*(ranks(scores, known) for scores, known in both.values()))
    return {name: scores for name, (scores, _) in both.items()} | {"lower of both ranks": lower}


def draw(negative: Images, digits: dict[str, Images]) -> None:
    """Draw a ROC curve for each score and built-in model: digits kept against negatives kept."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    for axes, (name, path) in zip(figure.subplots(1, 2, sharey=True), BUILTIN_MODELS.items(), strict=True):
        with open_artifact(read_artifact(path)) as runner:
            temperature = runner.contract.temperature
            other, known = (runner.predict_in_batches(images, 1) for images in (negative, digits[name]))
        of_other, of_known = scores_of(other, known, temperature), scores_of(known, known, temperature)
        for score, values in of_known.items():
            cuts = np.quantile(values, np.linspace(0, 1, 501))
            false, true = ([np.mean(rows >= cut) for cut in cuts] for rows in (of_other[score], values))
            area = float(np.mean(ranks(of_other[score], values)))
            axes.plot(false, true, label=f"{score}, area {1 - area:.3f}")
        axes.axhline(0.98, color="gray", linewidth=0.8, linestyle=":")
        axes.set(title=name.upper(), xlabel="share of the negatives answered", ylim=(0.8, 1.005))
        axes.legend(loc="lower right", fontsize=8)
    figure.axes[0].set_ylabel("share of the digits answered")
    save_figure(figure, ROOT / "docs" / "figures" / "ood.png")


def main() -> None:
    """Draw the negatives, read them, write the table and draw the curves."""
    drawn: dict[str, list[Image.Image]] = {}
    for kind, picture in negatives():
        drawn.setdefault(kind, []).append(picture)
    digits = {name: distorted_digits(name) for name in BUILTIN_MODELS}
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table(drawn, digits)), encoding="utf-8")
    recognizer = Recognizer()
    seen = [recognizer.inspect(picture).preprocessing for kind in drawn.values() for picture in kind]
    draw(np.concatenate([result.tensor for result in seen if result and not result.other_digits]), digits)


if __name__ == "__main__":
    main()
