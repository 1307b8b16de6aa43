"""How much a runtime takes on the disk, with the packages that it needs."""

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def install_size(packages: Iterable[str]) -> int:
    """Return the bytes of packages, by import name, and of all that they require and that is installed here.

    What an extra of theirs would bring is left out.
    """
    wanted = [name for package in packages for name in _distributions().get(package, [package])]
    found: dict[str, int] = {}
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()  # PEP 503
        if name in found:
            continue
        try:
            taken = distribution(name)
        except PackageNotFoundError:  # for another system, or another Python
            found[name] = 0
            continue
        found[name] = _size(taken)
        wanted += [
            matched[0]
            for requirement in taken.requires or []
            if "extra ==" not in requirement and (matched := _NAME.match(requirement))
        ]
    return sum(found.values())


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    return {package: list(names) for package, names in packages_distributions().items()}


def _size(taken: Distribution) -> int:
    total = 0
    for file in taken.files or []:
        path = Path(str(file.locate()))
        if path.suffix != ".pyc" and path.is_file():
            total += path.stat().st_size
    return total
