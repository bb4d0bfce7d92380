"""What became of one thing on the server."""

from dataclasses import dataclass
from typing import Literal

State = Literal["created", "updated", "unchanged", "not declared", "removed"]


@dataclass(frozen=True)
class Change:
    """A row of what `earthloom deploy` prints."""

    kind: str
    name: str
    state: State
    detail: str = ""
    """Which fields were updated, or what to know of it."""


def differing(wanted: dict[str, object], there: dict[str, object]) -> str:
    """Names of the fields that differ, in words; empty if none does."""
    return ", ".join(name.replace("_", " ") for name in wanted if wanted[name] != there.get(name))
