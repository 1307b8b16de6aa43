"""A page in a real browser: its logits, and its answers to PNG files, must be those that it gives here."""

import io
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mnist_edge.artifact.contract import Contract
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.base import ArtifactFile
from mnist_edge.formats.browser_run import OpenPage
from mnist_edge.parity.checks import Check, timed
from mnist_edge.parity.devices import equal_logits, read_again
from mnist_edge.parity.parity_report import ParityReport
from mnist_edge.parity.reference import Reference
from mnist_edge.parity.steps import OnStep, nothing
from mnist_edge.runtime.recognizer import Recognizer
from mnist_edge.types import Images

PICTURES = 1_000
"""Pictures that are read from files, made of that many test images."""

LEAST_SIDE, SIDES = 28, 200
"""Pixels of the longer side of the smallest picture, and how many sizes there are."""


def read_in_browser(
    report: ParityReport, reference: Reference, program: Path | None = None, on_step: OnStep = nothing
) -> ParityReport:
    """Return the report on a page with what a browser makes of it.

    Args:
        report: on the page. One that failed stays as it is: what may have been altered is not opened in a browser.
        reference: the images, and the trained model's answers to them.
        program: the browser, or None for one on the PATH.
        on_step: is called with what is done next.

    Raises:
        UserError: there is no browser, or a package that this needs is not installed.
    """
    if not report:
        return report
    checks: list[Check] = []
    try:
        artifact = read_again(report)
        with ExitStack() as until_closed:
            page = until_closed.enter_context(artifact.spec.browser_module().open_page(artifact.bundle, program))
            for step, judge in _judges(artifact, page, reference):
                on_step(f"{step} in {page.browser}")
                checks.append(timed(judge))
    except ArtifactError as error:
        checks.append(Check("browser", "in a browser", "cannot be run", (str(error),)))
    seconds = report.seconds + sum(check.seconds for check in checks)
    return replace(report, checks=(*report.checks, *checks), seconds=seconds)


def _judges(artifact: ArtifactFile, page: OpenPage, reference: Reference) -> Sequence[tuple[str, Callable[[], Check]]]:
    """Return what is checked, in this order, with what is done for it."""
    return (
        ("answers images", lambda: _check_logits(artifact, page, reference.images)),
        ("reads pictures", lambda: _check_pictures(artifact, page, reference)),
        ("runs the test vectors", lambda: _check_page(page)),
    )


def _check_logits(artifact: ArtifactFile, page: OpenPage, images: Images) -> Check:
    with artifact.open() as runner:
        here = runner.predict_in_batches(images, artifact.spec.batch or len(images))
    equal, count = equal_logits(page.predict(images), here), len(images)
    problem = f"{page.browser} gives other logits than this machine for {count - equal:,} of {count:,} images"
    return Check(
        "browser_logits",
        f"images in {page.browser}",
        f"logits of {equal:,} of {count:,} images equal",
        () if equal == count else (problem,),
        figures={"images": count, "equal_logits": equal},
    )


def _check_pictures(artifact: ArtifactFile, page: OpenPage, reference: Reference) -> Check:
    code, title = "browser_pictures", f"files in {page.browser}"
    chosen = np.linspace(0, len(reference.images) - 1, min(PICTURES, len(reference.images))).astype(np.intp)
    try:
        recognizer = Recognizer.from_artifact(artifact)
        files = png_files(reference.images[chosen], recognizer.runner.contract)
        expected = recognizer.predict(files)
    except UserError as error:
        return Check(code, title, "cannot be run", (str(error),))
    found = page.read(files)
    equal = sum((a.status, a.label) == (b.status, b.label) for a, b in zip(found, expected, strict=True))
    count = len(files)
    problem = f"{page.browser} answers {count - equal:,} of {count:,} PNG files differently from the Python runner"
    return Check(
        code,
        title,
        f"answers to {equal:,} of {count:,} PNG files equal",
        () if equal == count else (problem,),
        figures={"pictures": count, "equal_answers": equal},
    )


def _check_page(page: OpenPage) -> Check:
    failing = page.failing_test_vectors()
    problems = [f"the page itself says that {failing} of its test vectors fail"] if failing else []
    problems += [f"in the browser there was {incident}" for incident in page.incidents]
    found = "not as expected" if problems else "test vectors passed; no error, no request"
    return Check("browser_page", f"page in {page.browser}", found, tuple(problems))


def png_files(images: Images, contract: Contract) -> list[bytes]:
    """Return test images as PNG files of many sizes, every second one inverted where the ink may be dark or light.

    Args:
        images: float32 `[N, channels, height, width]` in [0, 1].
        contract: of the model that shall read them.
    """
    invertible = contract.task.input.polarity == "white-on-black"
    files = []
    for number, image in enumerate(np.rint(255 * images).astype(np.uint8).transpose(0, 2, 3, 1)):
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        side = LEAST_SIDE + number * 37 % SIDES
        scale = side / max(picture.size)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        scaled = picture.resize(size, Image.Resampling.BICUBIC)
        data = io.BytesIO()
        (ImageOps.invert(scaled) if invertible and number % 2 else scaled).save(data, "PNG")
        files.append(data.getvalue())
    return files
