"""What the label rows of a chip say of a concept, source by source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tasks.dialogue.facts import ChipFacts, Label, SourceInfo
from tasks.dialogue.pairs import Evidence
from tasks.dialogue.verifier.expressions import Concept, Where
from tasks.dialogue.verifier.outcomes import Outcome, unknown
from tasks.earth.label_masks import SIDE, Box
from tasks.earth.mask_cells import cells_of

GROUND = ("area", "line", "point")
"""Kinds of labels that lie in the chip itself."""
THIRDS = (0.0, 1 / 3, 2 / 3, 1.0)
ROWS, COLUMNS = {"north": 0, "south": 2}, {"west": 0, "east": 2}


@dataclass(frozen=True)
class Known:
    """One label of one source: its row, or that it has none."""

    name: str
    source: SourceInfo
    row: Label | None
    """None: absent if `denied`, else not annotated."""

    @property
    def denied(self) -> bool:
        """Whether the source looked for it and found none."""
        return self.row is None and self.source.can_deny(self.name)

    @property
    def whole(self) -> bool:
        """Whether all there is of it in the chip is in its row."""
        return self.source.can_deny(self.name)

    def evidence(self, *fields: str) -> Evidence:
        """It as evidence, with some fields of its row."""
        if self.row is None:
            return Evidence("absence", self.name, self.source.name)
        value = {field: getattr(self.row, field) for field in fields if getattr(self.row, field) is not None}
        return Evidence("label", self.name, self.source.name, value, self.row.boxes[:8])


def known(facts: ChipFacts, concept: Concept, kinds: Sequence[str] = GROUND) -> list[Known]:
    """What each source says of each label that a concept may mean; what none says anything of is left out."""
    key = (concept, tuple(kinds))
    found = facts.found.get(key)
    if found is None:
        found = _known(facts, concept.labels, kinds) or _known(facts, concept.others, kinds)
        facts.found[key] = found
    return found


def _known(facts: ChipFacts, labels: Sequence[str], kinds: Sequence[str]) -> list[Known]:
    out = []
    for name in labels:
        for source in facts.used:
            rows: list[Label | None] = [label for label in facts.rows(name, source.name) if label.kind in kinds]
            if rows or source.can_deny(name):
                out += [Known(name, source, row) for row in rows or [None]]
    return out


def agreed(found: Sequence[Outcome], nothing: str) -> Outcome:
    """What several sources say together; if they disagree, the facts cannot tell.

    Args:
        found: of each source.
        nothing: why the facts cannot tell if no source says anything.
    """
    sure = [outcome for outcome in found if outcome.holds is not None]
    if not sure:
        return found[0] if found else unknown(nothing)
    if len({outcome.holds for outcome in sure}) > 1:
        yes, no = (next(o for o in sure if o.holds is holds) for holds in (True, False))
        return Outcome(None, f"label sources disagree: {no.reason}", (*yes.evidence, *no.evidence))
    return sure[0]


def each(
    facts: ChipFacts, concept: Concept, test: Callable[[Known], Outcome], kinds: Sequence[str] = GROUND
) -> Outcome:
    """What a test finds of the labels that a concept may mean."""
    return agreed([test(one) for one in known(facts, concept, kinds)], silent(concept))


def silent(concept: Concept) -> str:
    """Why nothing is known of a concept."""
    return f"no label source that describes the whole chip tells of '{concept.word}'"


@lru_cache(4096)
def region(where: Where) -> int:
    """Cells of a part of the chip, see `tasks.earth.mask_cells`."""
    if where.box is not None:
        return _cells(where.box)
    name = where.direction
    if where.half:
        low, high = (0.0, 0.5) if name in ("north", "west") else (0.5, 1.0)
        return _cells((0.0, low, 1.0, high) if name in ("north", "south") else (low, 0.0, high, 1.0))
    if name == "centre":
        return _cells((1 / 3, 1 / 3, 2 / 3, 2 / 3))
    parts = name.split("-")
    rows = next((ROWS[part] for part in parts if part in ROWS), None)
    columns = next((COLUMNS[part] for part in parts if part in COLUMNS), None)
    y = (0.0, 1.0) if rows is None else (THIRDS[rows], THIRDS[rows + 1])
    x = (0.0, 1.0) if columns is None else (THIRDS[columns], THIRDS[columns + 1])
    return _cells((x[0], y[0], x[1], y[1]))


def _cells(box: Box) -> int:
    centres = (np.arange(SIDE) + 0.5) / SIDE
    inside: NDArray[np.bool_] = ((centres >= box[1]) & (centres <= box[3]))[:, None] & (
        (centres >= box[0]) & (centres <= box[2])
    )[None]
    if not inside.any():  # smaller than a cell
        row, column = (min(int(value * SIDE), SIDE - 1) for value in (box[1], box[0]))
        inside[max(row, 0), max(column, 0)] = True
    return cells_of(inside)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = _area(a) + _area(b) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def placed(facts: ChipFacts, concept: Concept) -> list[tuple[Known, int]]:
    """The labels of a concept that have a place, with its cells."""
    return [(one, one.row.cells) for one in known(facts, concept) if one.row is not None and one.row.cells]
