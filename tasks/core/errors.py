"""Every error a user can meet. Each says what was wrong, where, and what to do."""

from typing import Any


class EarthloomError(Exception):
    """Root of all errors that are the user's to fix; shown without a traceback."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, whatever its constructor takes: errors travel from workers."""
        return _again, (type(self), self.args, vars(self))


class ParamsError(EarthloomError):
    """A parameter is unknown, missing, of the wrong type or out of bounds."""

    exit_code = 2


class CodeError(EarthloomError):
    """What a module reaches cannot be known, so nothing it made can be distinguished from what other code made."""


class CatalogError(EarthloomError):
    """The STAC API cannot be reached, or answers something that is not STAC."""


class UnreachableError(CatalogError):
    """A server does not give a scene's bytes just now. The stage ends: what an outage hides is not left out."""


class EmptyStageError(EarthloomError):
    """A stage would have produced nothing; names the condition that emptied it."""


class MissingInputError(EarthloomError):
    """A file that an earlier stage should have made is not there."""


class DamagedFileError(EarthloomError):
    """A file of the dataset that does not hold what was written to it."""


class LeakageError(EarthloomError):
    """The geographic split lets a test chip touch the training set."""


class BenchmarkError(EarthloomError):
    """A benchmark that is not known, or files of one that are not laid out as their owner publishes them."""


class ClusterError(EarthloomError):
    """A Dask cluster that does not answer, has no workers, or has some that would make other results."""


class StorageError(EarthloomError):
    """The disk is full or cannot be written."""


class SubtaskError(EarthloomError):
    """A turn of which no expert of RS-MoE can be said to learn it."""


class TrainingError(EarthloomError):
    """A checkpoint, a sample or a loss that training cannot go on with."""


class WeightsError(EarthloomError):
    """Weights that are not what they should be, not pinned, or not safe to read."""


class GenerationError(EarthloomError):
    """No question-answer pair can be written: a model server, its key, its model or the model's files are wrong."""


class ExchangeError(EarthloomError):
    """A data set cannot leave or come in: a folder that is not ours, a table that is not what it says, a hub's no."""


class FlowError(EarthloomError):
    """A walk over the graph that cannot start, or in which an instance failed."""


class ServiceError(EarthloomError):
    """A service of `earthloom up`, or the server that is to be deployed to, does not do what it is there for."""


class PredictionsError(EarthloomError):
    """A file of predictions that cannot be scored: names the file, the row and what to do."""

    exit_code = 2


class SpiceError(EarthloomError):
    """SPICE's program did not do what it should."""


class UnaskableError(EarthloomError):
    """A question that cannot be put to a model. `reason` is a code to group by; the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SceneError(EarthloomError):
    """One scene cannot be used. Stages turn it into a quarantine row and go on with the others.

    `reason` is a short code that tables can be grouped by; the message is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class VectorFileError(EarthloomError):
    """A file of features cannot be used. `reason` is a code to group by; the message names the file and what it has."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _again(kind: type[EarthloomError], args: tuple[Any, ...], values: dict[str, Any]) -> EarthloomError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(values)
    return error
