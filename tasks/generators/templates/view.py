"""A chip's facts as templates ask for them: only what is clear, sayable and within the chip."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Generic, TypeVar

from tasks.dialogue.facts import MARGIN, ChipFacts, Label
from tasks.earth.label_masks import SIDE, Box
from tasks.earth.mask_cells import centre_of
from tasks.generators.templates.nouns import is_sayable
from tasks.generators.templates.voice import Found

CLEAR = 2 * MARGIN
"""Share from which a label is certainly there."""
LEAST_CELLS = 3
"""Cells of a mask that two labels must share a border along to be neighbours, or lie apart not to be."""
T = TypeVar("T")
Draw = Callable[[str, list[Found]], Found | None]
"""Kind and what was found of it -> one that the balance of answers lets through; None if it lets none."""


def box_cells(box: Box) -> int:
    """Cells whose centres lie in a box, as a mask of bits."""
    x1, y1, x2, y2 = (min(max(round(edge * SIDE), 0), SIDE) for edge in box)
    row = ((1 << (x2 - x1)) - 1) << (SIDE - x2)
    return sum(row << SIDE * (SIDE - 1 - number) for number in range(y1, y2))


def is_within(box: Box) -> bool:
    """Whether a box has an area and lies in the chip."""
    x1, y1, x2, y2 = box
    return 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1


class lazy(Generic[T]):  # noqa: N801
    """`functools.cached_property` without its lock, which costs more than most of what is computed here."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        """Of a method."""
        self._compute, self._name = compute, compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, owner: Any, kind: Any = None) -> T:
        """Computed once; from then on it is an attribute of the owner."""
        value = owner.__dict__[self._name] = self._compute(owner)
        return value


class View:
    """One chip."""

    def __init__(self, facts: ChipFacts, draw: Draw = lambda kind, found: found[0] if found else None) -> None:
        """Everything is computed when it is first asked for.

        Args:
            facts: of the chip.
            draw: used by kinds that ask several things at once.
        """
        self.facts, self.draw = facts, draw
        self._found: dict[Any, list[Found]] = {}
        self._kinds: dict[str, list[Label]] = {}
        for label in facts.labels:
            self._kinds.setdefault(label.kind, []).append(label)

    def found(self, find: Callable[["View"], list[Found]]) -> list[Found]:
        """What one kind finds; looked for once."""
        if find not in self._found:
            self._found[find] = find(self)
        return self._found[find]

    @lazy
    def areas(self) -> list[Label]:
        """Labels whose share of the chip is known from one source alone, the largest first."""
        found: dict[str, Label] = {}
        twice = set()
        for label in self._kinds.get("area", ()):
            if label.name in found:
                twice.add(label.name)
            found[label.name] = label
        good = [
            label
            for name, label in found.items()
            if name not in twice and 0 < (label.fraction or 0) <= 1.0001 and is_sayable(name)
        ]
        return sorted(good, key=lambda label: (-(label.fraction or 0), label.name))

    @lazy
    def clear(self) -> list[Label]:
        """Those that nobody would overlook."""
        return [label for label in self.areas if (label.fraction or 0) >= CLEAR]

    @lazy
    def objects(self) -> list[Label]:
        """Lines and points."""
        both = {label.name: label for kind in ("line", "point") for label in self._kinds.get(kind, ())}
        return [label for label in both.values() if is_sayable(label.name)]

    @lazy
    def all_tags(self) -> list[Label]:
        """Labels that hold somewhere in or around the chip."""
        return self._kinds.get("tag", [])

    @lazy
    def tags(self) -> list[str]:
        """Names of those that can be said."""
        return [label.name for label in self.all_tags if is_sayable(label.name)]

    @lazy
    def changes(self) -> dict[str, Label]:
        """Labels that say what changed."""
        return {label.name: label for label in self._kinds.get("change", ())}

    @lazy
    def there(self) -> list[str]:
        """What certainly lies in the chip."""
        areas = {label.name for label in self._kinds.get("area", ())}
        return [a.name for a in self.clear] + [o.name for o in self.objects if o.name not in areas]

    @lazy
    def gone(self) -> list[str]:
        """What certainly lies nowhere in the chip."""
        return [name for name in self.facts.absent(tags=False) if is_sayable(name)]

    @lazy
    def far(self) -> list[str]:
        """What is certainly neither in nor around it."""
        return [name for name in self.facts.absent(tags=True) if is_sayable(name)]

    @lazy
    def is_partition(self) -> bool:
        """Whether all of the chip is described by one source, and all that it says can be asked about."""
        whole = all(source.complete and source.looked_for is None for source in self.facts.sources.values())
        return (
            whole
            and 0 < len(self.areas) == len(self._kinds.get("area", ()))
            and len({label.source for label in self.areas}) == 1
        )

    @lazy
    def listed(self) -> list[Label]:
        """The labels of a complete source, the largest first, if it is clear which belong there and in which order."""
        if not self.is_partition:
            return []
        shares = [label.fraction or 0.0 for label in self.areas]
        doubtful = any(abs(share - CLEAR) < MARGIN / 2 for share in shares)
        order = [share for share in shares if share >= CLEAR]
        close = any(a - b < MARGIN / 3 for a, b in pairwise(order))
        return [] if doubtful or close or any("," in label.name for label in self.clear) else self.clear

    @lazy
    def leader(self) -> Label | None:
        """The label that covers the largest part, if all of the chip is described and its lead is clear."""
        if not self.is_partition:
            return None
        first = self.areas[0].fraction or 0
        second = (self.areas[1].fraction or 0) if len(self.areas) > 1 else 0.0
        return self.areas[0] if first - second >= CLEAR else None

    def is_all(self, label: Label) -> bool:
        """Whether no more of it is in the chip than its source has: else all that can be said is what is mapped."""
        return self.facts.sources[label.source].can_deny(label.name)

    def place(self, label: Label) -> str | None:
        """Where a label lies, unless it lies all over, in the middle, or near a border between two names."""
        if not label.position or label.position == "centre" or not CLEAR <= (label.fraction or 0) <= 0.5:
            return None
        cells = label.cells
        return None if cells and _near_a_bound(cells) else label.position


def _near_a_bound(cells: int) -> bool:
    """Whether the centre of mass lies within MARGIN of the border between two thirds of the chip."""
    return any(abs(centre - bound) < MARGIN for centre in centre_of(cells) for bound in (1 / 3, 2 / 3))
