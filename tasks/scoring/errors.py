"""What can be wrong with a file of predictions."""

from tasks.core.errors import EarthloomError


class PredictionsError(EarthloomError):
    """A file of predictions that cannot be scored: names the file, the row and what to do."""

    exit_code = 2


class SpiceError(EarthloomError):
    """SPICE's program did not do what it should."""
