"""How a picture of numbers was read, for people: the picture with a box and the label for each digit."""

from PIL import Image, ImageDraw, ImageFont

from mnist_edge.preprocessing.orientation import apply_exif_orientation
from mnist_edge.runtime.number import Number
from mnist_edge.runtime.prediction import Status
from mnist_edge.runtime.visualize import on_paper
from mnist_edge.text import printable, shorten

MAX_LABEL_LENGTH = 6
"""Characters of a label above its box."""

MAX_LABEL_SIDE = 40
"""Height of a label in pixels, at most; else it is as high as a third of its digit."""

MIN_LABEL_SIDE = 11
"""Height of a label in pixels, at least."""

COLORS = {Status.OK: "seagreen", Status.UNCERTAIN: "darkorange"}
"""Of the box around a digit, and of its label."""


def draw_boxes(picture: Image.Image, number: Number) -> Image.Image:
    """Return a picture, upright, with the digits that were read in it: green where they are sure, orange where not.

    Above the picture is some paper for the labels of the first line.
    """
    shown = on_paper(picture)
    by = shown.width / apply_exif_orientation(picture).width
    sides = [(digit.box[3] - digit.box[1]) * by for digit in number.digits]
    side = round(min(MAX_LABEL_SIDE, max([MIN_LABEL_SIDE, *(height / 3 for height in sides)])))
    sheet = Image.new("RGB", (shown.width, shown.height + 2 * side), "white")
    sheet.paste(shown, (0, 2 * side))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(side)
    for digit in number.digits:
        left, top, right, bottom = (round(edge * by) for edge in digit.box)
        top, bottom = top + 2 * side, bottom + 2 * side
        draw.rectangle(
            (left - 2, top - 2, right + 1, bottom + 1), outline=COLORS[digit.status], width=max(1, side // 12)
        )
        label = shorten(printable(digit.label), MAX_LABEL_LENGTH)
        draw.text(((left + right) / 2, top - 4), label, fill=COLORS[digit.status], font=font, anchor="mb")
    return sheet
