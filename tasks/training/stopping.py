"""SIGTERM during training: a checkpoint, then exit code 75, by which a flow knows to start the same command again."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tasks.core.errors import TrainingError


class StoppedError(TrainingError):
    """The run was asked to stop (SIGTERM) and has lost nothing; the same command goes on from its last checkpoint."""

    exit_code = 75


class Stop:
    """Whether SIGTERM has come, and whether steps are being taken."""

    def __init__(self) -> None:
        self.asked = False
        self.stepping = False
        """From the first step on a stop waits for the end of a step; before, there is nothing to keep."""

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """What SIGTERM does."""
        self.asked = True
        if not self.stepping:
            raise StoppedError("asked to stop before the first step; the same command begins again")


@contextmanager
def stop_on_sigterm() -> Iterator[Stop]:
    """What SIGTERM sets while the block runs.

    Raises:
        StoppedError: it came while no step was being taken yet.
    """
    stop = Stop()
    before = signal.signal(signal.SIGTERM, stop.on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
