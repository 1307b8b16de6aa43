"""A module that the sandbox's server takes too long to get ready."""

import time


def warm_up() -> None:
    time.sleep(20)


class Session:
    """Is never reached."""
