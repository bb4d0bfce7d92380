"""The ledger of a run of question-answer generation: what is kept, what is rejected and why; nothing is lost."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tasks.core.errors import EarthloomError

REJECTED = pa.schema(
    [
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("question", pa.string()),  # empty where a row is about all of a chip, or about an answer that gave no pair
        ("answer", pa.string()),
        ("question_type", pa.string()),
        ("reason", pa.string()),  # a code: contradicted, not-checkable, balance, ... (docs/reference/artifacts.md)
        ("detail", pa.string()),  # a sentence
        ("verdict", pa.string()),  # of the verifier; empty where there was no pair to verify
        ("attempt", pa.int32()),  # at which ask of the chip it was written, from 1; 0 where there was no pair
        ("generator", pa.string()),
    ]
)
"""One row for every pair that was not kept, for every answer that gave none, and for every chip left without any."""
Add = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Policy:
    """What is kept."""

    min_pairs: int
    """A chip with fewer loses them all."""
    turns: int
    """Pairs a conversation; a dialogue that goes on is never cut."""
    max_same_type: int
    max_answer_share: float
    keep_unchecked: frozenset[str] = frozenset()
    """Question types whose pairs are kept, marked, where the verifier cannot check them."""


@dataclass
class Counts:
    """The ledger of a run."""

    chips: int = 0
    chips_without: int = 0
    conversations: int = 0
    written: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    """By question type."""
    unchecked: int = 0
    """Kept without a check."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Pairs by reason."""
    decided: int = 0
    """Pairs that people had decided about."""
    failures: int = 0
    """Answers that gave no pair."""
    usage: Counter[str] = field(default_factory=Counter)
    cost: float = 0.0

    def summary(self) -> dict[str, Any]:
        """For data/summary.

        Raises:
            EarthloomError: pairs were lost: neither kept nor rejected.
        """
        kept, rejected = self.kept.total(), self.rejected.total()
        if self.written != kept + rejected:
            raise EarthloomError(
                f"{self.written} pairs were written, but {kept} kept and {rejected} rejected; this is an error of "
                "tasks/dialogue/write_pairs.py, please report it"
            )
        return {
            "chips": self.chips,
            "chips_without_pairs": self.chips_without,
            "conversations": self.conversations,
            "written": self.written,
            "pairs": kept,
            "unchecked": self.unchecked,
            **({"decided": self.decided} if self.decided else {}),
            "rejected": rejected,
            "rejected_by_reason": dict(sorted(self.rejected.items())),
            "failures": self.failures,
            **({name: self.usage[name] for name in sorted(self.usage)} if self.usage["asks"] else {}),
            **({"cost": round(self.cost, 6)} if self.cost else {}),
            "by_type": dict(sorted(self.kept.items())),
        }
