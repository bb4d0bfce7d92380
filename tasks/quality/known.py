"""What is certain about a chip, with a margin: nothing that two careful readers of its labels could see differently."""

import random
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt

from tasks.dialogue.facts import ChipFacts, Label, SourceInfo
from tasks.earth.label_masks import SIDE
from tasks.quality import words
from tasks.quality.cases import Noun

SURE = 0.08
"""Share from which an area is surely there."""
APART = 0.10
"""Two shares that differ by less are not compared, and a bound this near is not asked about."""
WHOLE = 0.95
"""Share that the areas of a source must make up together, for a list of them to be all that there is."""
INSIDE = 0.06
"""Least distance of a centre of mass from the borders between thirds."""
TOUCH, FAR = 1.0, 5.0
"""Cells between the nearest cells of two areas that touch, and of two that surely do not."""


class Known:
    """The certain facts of one chip."""

    def __init__(self, facts: ChipFacts) -> None:
        self.facts = facts

    @cached_property
    def single(self) -> dict[str, Label]:
        """Labels that one source alone gives, by name."""
        rows = [label.name for label in self.facts.labels]
        return {label.name: label for label in self.facts.labels if rows.count(label.name) == 1}

    @cached_property
    def here(self) -> list[Label]:
        """Surely in the chip: areas large enough, lines and points."""
        return [
            label
            for label in self.single.values()
            if label.kind in ("line", "point") or (label.kind == "area" and (label.fraction or 0) >= SURE)
        ]

    @cached_property
    def areas(self) -> list[Label]:
        """Areas whose share is known."""
        return [label for label in self.here if label.kind == "area"]

    def certain(self, label: Label) -> bool:
        """Whether its source would have given all of it: there is no more of it, and none elsewhere."""
        return self.source(label).can_deny(label.name)

    @cached_property
    def sized(self) -> list[Label]:
        """Areas of which no part may be missing and whose share can be asked for in plain words."""
        known = [label for label in self.areas if words.known(label.name) and self.certain(label)]
        return [label for label in known if not self.mass(label.name).plural]

    @cached_property
    def around(self) -> list[Label]:
        """Tags: somewhere in or around the chip."""
        return [label for label in self.single.values() if label.kind == "tag"]

    def gone(self, tags: bool = False, change: bool = False) -> list[str]:
        """Labels that are surely not there: a complete source denies them, and nothing given may be of that thing."""
        given = {label.name for label in self.facts.labels}
        return sorted(
            name
            for source in self.facts.sources.values()
            if source.is_tag == tags
            for name in source.labels
            if source.can_deny(name)
            and (name in source.change) == change
            and name not in given
            and words.known(name)
            and (change or not any(words.related(name, other) for other in given))
        )

    def names(self, label: str) -> tuple[Noun, ...]:
        """What a label may be called here: by its plainest name alone where another label may be of the same thing."""
        others = {other.name for other in self.facts.labels} - {label}
        called = words.names(label)
        return called[:1] if any(words.related(label, other) for other in others) else called

    def mass(self, label: str) -> Noun:
        """The plainest singular name of a label, or its plainest where it has none."""
        called = self.names(label)
        return next((noun for noun in called if not noun.plural), called[0])

    def source(self, label: Label) -> SourceInfo:
        """That gives a label."""
        return self.facts.sources[label.source]

    @cached_property
    def whole(self) -> list[Label]:
        """All areas, the largest first, where one complete source shares out the chip, and each is surely there."""
        found = self.facts.areas
        if not self.facts.is_partition or len(found) != len([a for a in self.facts.labels if a.kind == "area"]):
            return []
        if sum(label.fraction or 0 for label in found.values()) < WHOLE:
            return []
        if any(0.02 <= (label.fraction or 0) < SURE for label in found.values()):
            return []
        return [label for label in found.values() if (label.fraction or 0) >= SURE]

    def vocabulary(self, label: Label) -> list[str]:
        """Other labels of its source that are no other names for it."""
        change = set(self.source(label).change)
        names = (set(self.source(label).labels) - change) if label.name not in change else change
        return sorted(n for n in names if words.known(n) and not words.related(n, label.name))

    def placed(self, label: Label) -> str | None:
        """Third of the chip that it surely lies in: small, in one part, its centre well within the third."""
        plane = label.plane
        if plane is None or not plane.any() or plane.mean() > 0.3:
            return None
        rows, columns = np.nonzero(plane)
        center = [(axis.mean() + 0.5) / SIDE for axis in (rows, columns)]
        if any(abs(value - border) < INSIDE for value in center for border in (1 / 3, 2 / 3)):
            return None
        if max(np.ptp(rows), np.ptp(columns)) > SIDE / 2:
            return None
        return label.position

    def distance(self, one: Label, other: Label) -> float | None:
        """Cells from one to the other, 1 where they touch; None where either has no place."""
        if one.plane is None or other.plane is None or not one.plane.any() or not other.plane.any():
            return None
        return float(distance_transform_edt(~one.plane)[other.plane].min())

    def contact(self, one: Label, other: Label) -> int:
        """Cells of the other that touch the one."""
        assert one.plane is not None and other.plane is not None
        return int((distance_transform_edt(~one.plane)[other.plane] <= TOUCH).sum())


def pick(draw: random.Random, items: list[Label], most: int) -> list[Label]:
    """Up to `most` of them, by chance."""
    return draw.sample(items, min(most, len(items)))
