"""What artifacts cost, as tables."""

from collections.abc import Sequence

from mnist_edge.benchmark.costs import Costs
from mnist_edge.benchmark.readable import beaten_by, readable_answers, readable_costs
from mnist_edge.cli.layout import TextTable
from mnist_edge.cli.tables import short_names


def answer_table(costs: Sequence[Costs]) -> TextTable:
    """Return a row for each artifact: how right it is, its bytes, and those of what runs it."""
    names = short_names([cost.path for cost in costs])
    headings = "\nbytes", "\naccuracy", "\n95 % interval", "top-1\nagreement", "largest\n|Δlogit|", "runtime\n[MB]"
    table = TextTable("\nfile", *headings)
    for cost in costs:
        table.add(names[cost.path], *readable_answers(cost).values())
    return table


def cost_table(costs: Sequence[Costs]) -> TextTable:
    """Return a row for each artifact: time and memory, and which other one is in nothing worse."""
    names = short_names([cost.path for cost in costs])
    headings = (
        "first answer\n[ms]",
        "memory\n[MB]",
        "one image\n[µs]",
        "99 % within\n[µs]",
        "images\na second",
        "\nbeaten by",
    )
    table = TextTable("\nfile", *headings)
    for cost in costs:
        better = beaten_by(cost, costs)
        table.add(names[cost.path], *readable_costs(cost).values(), names[better.path] if better else "")
    return table


def device_cost_table(costs: Sequence[Costs]) -> TextTable:
    """Return a row for each artifact on each emulated device: instructions, flash and RAM."""
    names = short_names([cost.path for cost in costs])
    table = TextTable("file", "emulated device", "instructions an image", "flash", "RAM")
    for cost in costs:
        for device in cost.devices:
            sizes = f"{device.instructions:,}", f"{device.flash:,}", f"{device.ram:,}"
            table.add(names[cost.path], device.target, *sizes)
    return table
