"""The time that is given to whatever builds something, so that it gives the same bytes again.

https://reproducible-builds.org/specs/source-date-epoch/
"""

import os
from datetime import UTC, datetime

from mnist_edge.errors import UserError

VARIABLE = "SOURCE_DATE_EPOCH"
"""The name of the environment's variable; libraries and compilers read it too."""


def source_date() -> datetime | None:
    """Return the time that `SOURCE_DATE_EPOCH` says, or None where it is not set, or empty.

    Raises:
        UserError: it is not a whole number of seconds since 1970, in ASCII digits, or beyond the year 9999.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    try:
        if not (given.isascii() and given.isdigit()):  # int takes more, which compilers refuse
            raise ValueError("expected digits alone")
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError) as error:  # a year that the calendar lacks raises any of them
        raise UserError(f"{VARIABLE} is {given!r}, expected whole seconds since 1970, or nothing") from error
