"""The errors of the package; all have one base."""


class MnistEdgeError(Exception):
    """Base of every error that the package raises on purpose. Its message is one line."""


class UserError(MnistEdgeError):
    """Something outside the program is wrong: a file, an option, the disk.

    The message says what is wrong, what was expected and how to mend it. The command line prints it and exits with
    code 1; an exception that is not a `MnistEdgeError` is a bug and keeps its traceback.
    """


class UnknownFormatError(UserError):
    """No format has the suffix of a file's name."""


class ArtifactError(MnistEdgeError):
    """An exported artifact can't be opened or run."""


class ContractError(ArtifactError):
    """A contract is missing, damaged, or of a version that is not known here."""


class TestVectorsError(ArtifactError):
    """Test vectors are missing, damaged, or of a version that is not known here."""

    __test__ = False  # pytest takes a class of this name for tests


class ChecksumError(ArtifactError):
    """An artifact carries no checksum, or was altered since it was exported."""


class PictureError(MnistEdgeError):
    """A picture can't be read."""


class NoDigitError(MnistEdgeError):
    """A picture holds no ink."""
