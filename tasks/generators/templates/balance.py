"""How often answers can be asked for, counted over a part of the dataset before a pair is written.

If water is there on nine of ten chips, a solver that reads no image is right nine times of ten by saying yes. So a
question whose answer is common is put only to as many chips as the rare answer allows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.dialogue.facts import ChipFacts
from tasks.earth.grid import stable_hash
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found

SAMPLE = 4096
"""Chips that are counted of a larger part: shares are then known to a percent."""
DECODED = 128
"""Chips whose pixels are decoded to learn how many can be asked about them."""
RARE = 0.05
"""Share of the chips below which an answer, of many, does not hold the others down."""
BINARY = ("yes", "no")
LEAST = 0.02
"""Share of chips below which a kind is not preferred any further."""
STEPS = 12
"""Of the correction for what else chips can be asked; each leaves a small part of the rest."""
Cell = tuple[str, str, str]
"""Kind, subject and answer."""


@dataclass(frozen=True)
class Balance:
    """Chances by which questions are put. The same for the same chips; changes little where few of them change."""

    chances: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)
    """(kind, subject) -> answer -> chance that a chip with this answer is asked."""
    kinds: Mapping[str, float] = field(default_factory=dict)
    """Kind -> share of chips that can be asked of this kind, in view of those chances."""

    def chance(self, kind: str, subject: str, answer: str) -> float:
        """Chance of one question; of one that was never counted 1."""
        return self.chances.get((kind, subject), {}).get(answer, 1.0)

    def as_json(self) -> dict[str, Any]:
        """For the record of a run."""
        chances: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
        for (kind, subject), answers in sorted(self.chances.items()):
            chances[kind][subject] = {answer: round(chance, 4) for answer, chance in sorted(answers.items())}
        return {"kinds": {name: round(share, 4) for name, share in sorted(self.kinds.items())}, "chances": chances}

    def with_kinds(self, other: "Balance") -> "Balance":
        """The same with the shares of kinds that another one counted."""
        return Balance(self.chances, {**self.kinds, **other.kinds})


def is_sampled(chip_id: str, chips: int, sample: int = SAMPLE) -> bool:
    """Whether a chip is among the `sample` that are counted, of so many in all."""
    return chips <= sample or stable_hash(f"balance/{chip_id}") < sample / chips * 2**64


def count(chips: Iterable[ChipFacts], kinds: Sequence[Kind], pairs: float) -> Balance:
    """Count what chips can be asked.

    Args:
        chips: all of a part, or those that `is_sampled` names; with facts of the pixels only for kinds that need them.
        kinds: that are asked.
        pairs: about each chip.
    """
    asked = _Asked(kinds)
    for facts in chips:
        asked.add(View(facts))
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    of_kind: dict[str, Counter[str]] = defaultdict(Counter)
    for (kind, subject, answer), number in zip(asked.cells, asked.counts().tolist(), strict=True):
        if kind in asked.balanced:
            counts[kind, subject][answer] += number
            of_kind[kind][answer] += number
    found = {key: chances(answers, of_kind[key[0]]) for key, answers in counts.items()}
    chance = asked.even(found, pairs)
    for (kind, subject, answer), value in zip(asked.cells, chance.tolist(), strict=True):
        if kind in asked.balanced:
            found[kind, subject][answer] = value
    return Balance(found, asked.shares(chance))


def chances(counts: Mapping[str, int], of_kind: Mapping[str, int]) -> dict[str, float]:
    """Chance of each answer to one subject, from the number of chips that have it.

    Of yes and no, as many of either as there are of the rarer; of more answers, as many as of the rarest that is not
    `RARE`. One chip is added, so that few chips do not mean never: with the answers that the kind has as a whole, or
    many subjects that few chips have would add up to a rule.

    Args:
        counts: answer -> chips, of one subject.
        of_kind: the same of all subjects of its kind.
    """
    if of_kind.keys() <= set(BINARY):
        overall = {answer: of_kind.get(answer, 0) + 0.5 for answer in BINARY}
        known = {answer: counts.get(answer, 0) + overall[answer] / sum(overall.values()) for answer in BINARY}
        held = list(known.values())
    else:
        known = {answer: number + 1.0 for answer, number in counts.items()}
        total = sum(known.values())
        common = [number for number in known.values() if number >= RARE * total]
        # Where all but one are rare, the second holds it down: else that one would be the answer to all.
        held = common if len(common) > 1 else sorted([1.0, *known.values()], reverse=True)[1:2]
    least = min(held)
    return {answer: min(1.0, least / number) for answer, number in known.items()}


class _Asked:
    """What all chips can be asked, as numbers: a cell is a kind, a subject and an answer, a group all cells of one kind
    that one chip has.
    """

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds
        self.balanced = {kind.name for kind in kinds if kind.balanced}
        self.cells: dict[Cell, int] = {}
        self._flat: list[int] = []
        self._starts: list[int] = []
        self._of: list[str] = []
        """Kind of each group."""
        self._chip: list[int] = []
        """Chip of each group."""
        self._chips = 0

    def add(self, view: View) -> None:
        """Take what one chip can be asked."""
        self._chips += 1
        for kind in self._kinds:
            found = kind.find(view)
            if not found:
                continue
            self._starts.append(len(self._flat))
            self._of.append(kind.name)
            self._chip.append(self._chips - 1)
            some = found if kind.balanced else [Found("", "")]
            self._flat += [self.cells.setdefault((kind.name, s, a), len(self.cells)) for s, a, _ in some]

    def counts(self) -> NDArray[np.int64]:
        """Chips that have each cell."""
        return np.bincount(np.array(self._flat, int), minlength=len(self.cells))

    def even(self, found: Mapping[tuple[str, str], Mapping[str, float]], pairs: float) -> NDArray[np.float64]:
        """Chance of each cell, once what a chip is asked instead is taken into account.

        Where one of two answers comes with more other questions than the other, of its own kind or of others that take
        the chip's room for `pairs`, it is asked for less often than its chance says; its rival is held down by as much.
        """
        chance = np.array([found[k, s][a] if k in self.balanced else 1.0 for k, s, a in self.cells], float)
        rivals = [
            [self.cells[k, s, answer] for answer in answers]
            for (k, s), answers in found.items()
            if len(answers) == 2 and all((k, s, answer) in self.cells for answer in answers)
        ]
        if not rivals:
            return chance
        one, other = np.array(rivals).T
        flat, sizes = np.array(self._flat, int), np.diff([*self._starts, len(self._flat)])
        for _ in range(STEPS):
            drawn = self._drawn(chance)
            got = np.bincount(flat, drawn * np.repeat(self._turns(drawn, pairs), sizes), len(chance))
            low = np.minimum(got[one], got[other])
            for side in (one, other):
                chance[side] *= np.divide(low, got[side], out=np.ones_like(low), where=got[side] > 0)
        return chance

    def _drawn(self, chance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chance that each cell of each group is the one that is asked, as `TemplateGenerator` draws one."""
        own = chance[self._flat]
        none = np.exp(np.add.reduceat(np.log1p(-np.minimum(own, 1 - 1e-9)), self._starts))
        total = np.add.reduceat(own, self._starts)
        share = np.divide(1 - none, total, out=np.zeros_like(total), where=total > 0)
        drawn: NDArray[np.float64] = own * np.repeat(share, np.diff([*self._starts, len(self._flat)]))
        return drawn

    def _turns(self, drawn: NDArray[np.float64], pairs: float) -> NDArray[np.float64]:
        """Chance that each group's kind has its turn before its chip has all its pairs, about: kinds come as in a race,
        the faster the fewer chips can be asked of them.
        """
        able = np.add.reduceat(drawn, self._starts)
        chip = np.array(self._chip)
        of_kind = np.unique(self._of, return_inverse=True)[1]
        speed = 1 / np.maximum(LEAST, np.bincount(of_kind, able) / self._chips)[of_kind]
        time = np.full(self._chips, 0.2)
        for _ in range(STEPS):
            turns = 1 - np.exp(-speed * time[chip])
            time *= pairs / np.maximum(np.bincount(chip, able * turns, self._chips), 1e-9)
            time = np.minimum(time, 100.0)
        result: NDArray[np.float64] = 1 - np.exp(-speed * time[chip])
        return result

    def shares(self, chance: NDArray[np.float64]) -> dict[str, float]:
        """Share of chips that can be asked of each kind."""
        out: Counter[str] = Counter()
        if self._flat:
            per_group = np.add.reduceat(self._drawn(chance), self._starts)
            for kind, share in zip(self._of, per_group.tolist(), strict=True):
                out[kind] += share
        return {kind: share / self._chips for kind, share in out.items()}
