"""What an export holds, counted while it is written: what its page and its card say of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tasks.exchange.exports.series import ShownSeries
from tasks.exchange.exports.source import SPLITS, Shown, Talk

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
    """By (kind of question, sensor, split); the sensors of a series are joined, as in sentinel-1+sentinel-2."""
    series: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (its sensors, split); conversations and pairs have them too."""
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
        self.picture_bytes += len(shown.picture)
        self.collections.add(chip["collection"] or "")
        if chip["datetime"] is not None:
            self.years.add(chip["datetime"].year)
        self._talks(shown.talks, place)

    def add_series(self, shown: ShownSeries) -> None:
        """Count one series with its conversations; its chips count where they have conversations of their own."""
        place = (shown.sensors, shown.split)
        self.series[place] += 1
        self.collections |= {image.chip["collection"] or "" for image in shown.images}
        self._talks(shown.talks, place)

    def _talks(self, talks: Sequence[Talk], place: tuple[str, str]) -> None:
        self.conversations[place] += len(talks)
        for talk in talks:
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
        return sorted({name for sensors, _ in (*self.chips, *self.series) for name in sensors.split("+")})

    @property
    def splits(self) -> list[str]:
        """Sides of the split that hold a chip or a series."""
        return self.splits_of([*self.chips, *self.series])

    @staticmethod
    def splits_of(counted: Iterable[tuple[str, str]]) -> list[str]:
        """Those of some keys, in their order."""
        there = {split for _, split in counted}
        return [split for split in SPLITS if split in there]

    def count(self, kind: str | None = None, sensor: str | None = None, split: str | None = None) -> int:
        """Pairs of a kind, a sensor and a split, each of them any if not given."""
        return sum(
            count
            for (k, s, p), count in self.pairs.items()
            if kind in (None, k) and sensor in (None, s) and split in (None, p)
        )
