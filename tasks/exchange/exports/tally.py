"""What an export holds, counted while it is written: what its page and its card say of it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tasks.exchange.exports.source import SPLITS, Shown

MOST_ANSWERS = 64
"""Different answers to a kind of question that are counted; a kind with more is answered freely."""
LONGEST = 60
"""Words of a text that are told apart: longer ones count as this long."""


@dataclass
class Tally:
    """Counts of chips, conversations and pairs; of a size that the number of pairs does not change."""

    chips: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (sensor, split)."""
    conversations: Counter[tuple[str, str]] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By (kind of question, sensor, split)."""
    verdicts: Counter[str] = field(default_factory=Counter)
    writers: Counter[str] = field(default_factory=Counter)
    """By generator, and its model if it has one."""
    words: dict[str, Counter[int]] = field(default_factory=lambda: {"question": Counter(), "answer": Counter()})
    answers: dict[str, Counter[str] | None] = field(default_factory=lambda: defaultdict(Counter))
    """By kind of question; None where they are too many."""
    sources: set[str] = field(default_factory=set)
    """Of labels that were used."""
    collections: set[str] = field(default_factory=set)
    """Of scenes that chips are of."""
    years: set[int] = field(default_factory=set)
    picture_bytes: int = 0

    def add(self, shown: Shown) -> None:
        """Count one chip with its conversations."""
        chip = shown.chip
        place = (chip["sensor"], shown.split)
        self.chips[place] += 1
        self.conversations[place] += len(shown.talks)
        self.picture_bytes += len(shown.picture)
        self.collections.add(chip["collection"] or "")
        if chip["datetime"] is not None:
            self.years.add(chip["datetime"].year)
        for talk in shown.talks:
            row = talk.row
            self.sources.update(row["label_sources"] or [])
            self.writers[" ".join(filter(None, (row["generator"], row["model"])))] += len(talk.turns)
            for (question, answer), turn in zip(talk.turns, row["turns"], strict=True):
                self.pairs[(turn["question_type"], *place)] += 1
                self.verdicts[turn["verdict"] or "unmarked"] += 1
                self.words["question"][min(len(question.split()), LONGEST)] += 1
                self.words["answer"][min(len(answer.split()), LONGEST)] += 1
                self._answer(turn["question_type"], answer)

    def _answer(self, kind: str, answer: str) -> None:
        counts = self.answers[kind]
        if counts is not None:
            counts[answer] += 1
            if len(counts) > MOST_ANSWERS:
                self.answers[kind] = None

    @property
    def kinds(self) -> list[str]:
        """Kinds of question, the most frequent first."""
        totals: Counter[str] = Counter()
        for (kind, _, _), count in self.pairs.items():
            totals[kind] += count
        return sorted(totals, key=lambda kind: (-totals[kind], kind))

    @property
    def sensors(self) -> list[str]:
        """Sensors of the chips."""
        return sorted({sensor for sensor, _ in self.chips})

    @property
    def splits(self) -> list[str]:
        """Sides of the split that hold a chip."""
        return [split for split in SPLITS if any(key[1] == split for key in self.chips)]

    def count(self, kind: str | None = None, sensor: str | None = None, split: str | None = None) -> int:
        """Pairs of a kind, a sensor and a split, each of them any if not given."""
        return sum(
            count
            for (k, s, p), count in self.pairs.items()
            if kind in (None, k) and sensor in (None, s) and split in (None, p)
        )
