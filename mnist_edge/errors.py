"""The one error that a user can cause."""


class UserError(Exception):
    """Something outside the program is wrong: a file, an option, the disk.

    The message is one line that says what is wrong, what was expected and how to mend it. The command line prints
    it and exits with code 1; every other exception is a bug and keeps its traceback.
    """
