"""How often answers can be asked for, counted over a part of the dataset before a pair is written.

If water is there on nine of ten chips, a solver that reads no image is right nine times of ten by saying yes. So a
question whose answer is common is put only to as many chips as the rare answer allows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.dialogue.facts import ChipFacts
from tasks.earth.grid import stable_hash
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.view import View

SAMPLE = 4096
"""Chips that are counted of a larger part: shares are then known to a percent."""
DECODED = 128
"""Chips whose pixels are decoded to learn how many can be asked about them."""
RARE = 0.05
"""Share of the chips below which an answer, of many, does not hold the others down."""
BINARY = ("yes", "no")


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


def count(chips: Iterable[ChipFacts], kinds: Sequence[Kind]) -> Balance:
    """Count what chips can be asked.

    Args:
        chips: all of a part, or those that `is_sampled` names; with facts of the pixels only for kinds that need them.
        kinds: that are asked.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    candidates: list[list[list[tuple[str, str, str]]]] = []
    for facts in chips:
        view = View(facts)
        of_chip = []
        for kind in kinds:
            cells = [(kind.name, found.subject, found.answer) for found in kind.find(view)]
            if kind.balanced:
                for name, subject, answer in cells:
                    counts[name, subject][answer] += 1
            of_chip.append(cells if kind.balanced else cells[:1])
        candidates.append([cells for cells in of_chip if cells])
    of_kind: dict[str, Counter[str]] = defaultdict(Counter)
    for (name, _), answers in counts.items():
        of_kind[name] += answers
    balance = Balance({key: chances(answers, of_kind[key[0]]) for key, answers in counts.items()})
    return Balance(balance.chances, _shares(candidates, balance))


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


def _shares(candidates: Sequence[Sequence[Sequence[tuple[str, str, str]]]], balance: Balance) -> dict[str, float]:
    shares: Counter[str] = Counter()
    for of_chip in candidates:
        for cells in of_chip:
            none = 1.0
            for kind, subject, answer in cells:
                none *= 1 - balance.chance(kind, subject, answer)
            shares[cells[0][0]] += 1 - none  # type: ignore[assignment]
    return {kind: share / max(1, len(candidates)) for kind, share in shares.items()}
