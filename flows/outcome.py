"""What became of one instance in a walk."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InstanceOutcome:
    """`state` is ran, restored, cached, failed or skipped; in a dry run: to run, may run or cached."""

    address: str
    state: str
    seconds: float
    reason: str = ""
