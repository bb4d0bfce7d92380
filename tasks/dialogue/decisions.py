"""What people decided of pairs: a file with a line a decision, kept in git, which the next build honours."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tasks.core.errors import EarthloomError

FILE = Path("inputs/reviews/decisions.jsonl")
Decided = Literal["accept", "correct", "reject"]


class DecisionsError(EarthloomError):
    """The file of decisions cannot be read."""


@dataclass(frozen=True)
class Decision:
    """One of them. A pair is known by its chip and its two texts."""

    chip_id: str
    question: str
    answer: str
    decision: Decided
    correction: str = ""
    """The right answer, where it was corrected."""
    verdict: str = ""
    """What the verifier had found."""
    question_type: str = ""


class Decisions:
    """All decisions of a file; of several about one pair the last counts."""

    def __init__(self, path: Path = FILE) -> None:
        """Read it; a file that is not there holds none.

        Raises:
            DecisionsError: a line is no decision; says which and why.
        """
        self.path = path
        self._found: dict[tuple[str, str, str], Decision] = {}
        for number, line in enumerate(path.read_text().splitlines() if path.is_file() else [], 1):
            if line.strip():
                decision = _read(line, f"{path}, line {number}")
                self._found[_key(decision)] = decision

    def __len__(self) -> int:
        """Pairs that were decided."""
        return len(self._found)

    def __iter__(self) -> Iterator[Decision]:
        """In the order of the file."""
        return iter(self._found.values())

    def of(self, chip_id: str, question: str, answer: str) -> Decision | None:
        """What was decided of a pair, if anything was."""
        return self._found.get((chip_id, question, answer))

    def add(self, decision: Decision) -> None:
        """Take one more, at once on disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(decision), ensure_ascii=False, sort_keys=True) + "\n")
        self._found.pop(_key(decision), None)
        self._found[_key(decision)] = decision


def _key(decision: Decision) -> tuple[str, str, str]:
    return decision.chip_id, decision.question, decision.answer


def _read(line: str, where: str) -> Decision:
    try:
        found = Decision(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DecisionsError(f"{where} is no decision: {error}") from error
    if found.decision not in ("accept", "correct", "reject"):
        raise DecisionsError(f"{where}: '{found.decision}' is no decision; allowed: accept, correct, reject")
    if found.decision == "correct" and not found.correction.strip():
        raise DecisionsError(f"{where}: a corrected pair has its right answer in 'correction'")
    return found
