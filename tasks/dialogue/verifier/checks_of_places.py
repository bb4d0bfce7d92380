"""Where it lies: parts of the chip, boxes, what it touches."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.verifier.expressions import Adjacent, Beside, Boxes, Position, Region, Where
from tasks.dialogue.verifier.known import Known, agreed, known, overlap, placed, region, silent
from tasks.dialogue.verifier.outcomes import Outcome, unknown
from tasks.earth.label_fractions import COMPASS
from tasks.earth.label_masks import SIDE, Box
from tasks.earth.mask_cells import centre_of, grown

EDGE = 0.03
"""A centre of mass this close to another third of the chip may be said to lie in it."""
SAME_BOX = 0.7
"""Intersection over union from which two boxes are the same."""
TOUCHING = 2
"""Cells of common border from which two classes touch."""
APART = 0.1
"""Of the chip's side: centres closer than that lie in no direction from each other."""
FULL = np.ones((3, 3), bool)


def position(facts: ChipFacts, atom: Position) -> Outcome:
    """Does it lie in that part of the chip?"""
    found = []
    for one in known(facts, atom.concept, ("area", "line", "point", "change")):
        if one.row is None:
            found.append(Outcome(False, f"there is no {one.name}", (one.evidence(),)))
            continue
        cells = one.row.cells
        if atom.largest and one.row.boxes:
            x1, y1, x2, y2 = one.row.boxes[0]
            place = ((x1 + x2) / 2, (y1 + y2) / 2)
        elif cells:
            place = centre_of(cells)
        elif one.row.position is None:
            found.append(unknown(f"'{one.source.name}' does not tell where {one.name} lies"))
            continue
        else:
            place = _middle(one.row.position)
        found.append(_lies(one, place, cells, atom.where))
    return agreed(found, silent(atom.concept))


def _lies(one: Known, place: tuple[float, float], cells: int | None, where: Where) -> Outcome:
    evidence = (one.evidence("position"),)
    if where.half or where.box is not None:
        if not cells:
            return unknown(f"the place of {one.name} is not known well enough")
        inside = (cells & region(where)).bit_count() / cells.bit_count()
        if 0.35 < inside < 0.65:
            return Outcome(None, f"{inside:.0%} of {one.name} lies there", evidence)
        return Outcome(inside >= 0.65, f"{inside:.0%} of {one.name} lies there", evidence)
    true = _third(*place)
    near = {_third(place[0] + dx, place[1] + dy) for dx in (-EDGE, 0, EDGE) for dy in (-EDGE, 0, EDGE)}
    reason = f"{one.name} lies in the {true}"
    if where.direction in near:
        return Outcome(True, reason, evidence)
    if where.direction in true.split("-"):
        return Outcome(None, f"{reason}, which is only partly said", evidence)
    return Outcome(False, reason, evidence)


def _third(x: float, y: float) -> str:
    row, column = (min(max(int(value * 3), 0), 2) for value in (y, x))
    return str(COMPASS[row, column])


def _middle(name: str) -> tuple[float, float]:
    row, column = np.argwhere(name == COMPASS)[0]
    return (column + 0.5) / 3, (row + 0.5) / 3


def beside(facts: ChipFacts, atom: Beside) -> Outcome:
    """Does the first lie in that direction from the second?"""
    found = []
    for one, cells in placed(facts, atom.first):
        for other, others in placed(facts, atom.second):
            (x, y), (other_x, other_y) = centre_of(cells), centre_of(others)
            east, south = x - other_x, y - other_y
            wanted = {"north": -south, "south": south, "east": east, "west": -east}
            steps = [wanted[part] for part in atom.direction.split("-") if part in wanted]
            evidence = (one.evidence("position"), other.evidence("position"))
            reason = f"the centre of {one.name} lies ({east:+.2f}, {-south:+.2f}) of the chip's side from {other.name}"
            if not steps or min(map(abs, steps)) < APART:
                found.append(Outcome(None, reason, evidence))
            else:
                found.append(Outcome(all(step > 0 for step in steps), reason, evidence))
    return agreed(found, silent(atom.first))


def adjacent(facts: ChipFacts, atom: Adjacent) -> Outcome:
    """Do they touch?"""
    lacking = [one for c in (atom.first, atom.second) for one in known(facts, c) if one.denied]
    first, second = placed(facts, atom.first), placed(facts, atom.second)
    if lacking and not (first and second):
        return Outcome(False, f"there is no {lacking[0].name}", (lacking[0].evidence(),))
    found = []
    for one, cells in first:
        touching = grown(cells)
        around = grown(grown(touching))
        for other, others in second:
            if one.name == other.name:
                continue
            evidence = (one.evidence("position"), other.evidence("position"))
            if (touching & others).bit_count() >= TOUCHING:
                found.append(Outcome(True, f"{one.name} and {other.name} touch", evidence))
            elif around & others:
                found.append(Outcome(None, f"{one.name} and {other.name} come close, too close to tell", evidence))
            elif one.whole and other.whole:
                found.append(Outcome(False, f"{one.name} and {other.name} do not touch", evidence))
            else:
                found.append(
                    Outcome(None, f"{one.name} and {other.name} are mapped apart, but some may be lacking", evidence)
                )
    return agreed(found, silent(atom.first if not first else atom.second))


def boxes(facts: ChipFacts, atom: Boxes) -> Outcome:
    """Does it lie in these boxes?"""
    found = []
    for one in known(facts, atom.concept, ("area", "change")):
        if one.row is None:
            found.append(Outcome(False, f"there is no {one.name}", (one.evidence(),)))
        elif one.row.boxes:
            found.append(_features(one, one.row.boxes, atom))
        elif one.row.plane is not None and one.row.plane.any():
            found.append(_of_mask(one, one.row.plane, atom))
    return agreed(found, silent(atom.concept))


def _features(one: Known, true: Sequence[Box], atom: Boxes) -> Outcome:
    evidence = (one.evidence("count"),)
    if atom.which == "largest":
        same = len(atom.boxes) == 1 and overlap(atom.boxes[0], true[0]) >= SAME_BOX
        return Outcome(same, f"the largest {one.name} lies elsewhere", evidence)
    if one.row is not None and one.row.count is not None and one.row.count != len(true):
        return Outcome(None, f"there are {one.row.count} of {one.name}, too many to hold all boxes", evidence)
    left = list(true)
    for box in atom.boxes:
        best = max(left, key=lambda other: overlap(box, other), default=None)
        if best is None or overlap(box, best) < SAME_BOX:
            return Outcome(False, f"no {one.name} lies in one of the boxes", evidence)
        left.remove(best)
    if left:
        return Outcome(False, f"{len(left)} more of {one.name} lie elsewhere", evidence)
    return Outcome(True, "", evidence)


def _of_mask(one: Known, plane: NDArray[np.bool_], atom: Boxes) -> Outcome:
    """Boxes of what has no features: around its connected parts, or around all of it."""
    from scipy import ndimage  # here, for it takes 0.2 s of every start

    evidence = (one.evidence("position"),)
    parts, number = ndimage.label(plane, FULL)
    sizes = ndimage.sum_labels(plane, parts, range(1, number + 1))
    around = [_around(parts == index + 1) for index in np.argsort(-sizes)[: len(atom.boxes)]]
    whole = _around(plane)
    if len(atom.boxes) == 1 and overlap(atom.boxes[0], whole) >= SAME_BOX and atom.which != "largest":
        return Outcome(True, "", evidence)
    if len(around) == len(atom.boxes) and all(max(overlap(b, a) for a in around) >= SAME_BOX for b in atom.boxes):
        return Outcome(True, "", evidence)
    return Outcome(False, f"{one.name} lies elsewhere", evidence)


def _around(plane: NDArray[np.bool_]) -> Box:
    rows, columns = np.nonzero(plane)
    low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
    return float(low[0] / SIDE), float(low[1] / SIDE), float(high[0] / SIDE), float(high[1] / SIDE)


def in_region(facts: ChipFacts, atom: Region) -> Outcome:
    """Is it what a box holds most of?"""
    cells = region(Where(box=atom.box))
    found = []
    for one in known(facts, atom.concept, ("area",)):
        if one.row is None:
            found.append(Outcome(False, f"there is no {one.name}", (one.evidence(),)))
            continue
        rows = [r for r in facts.labels if r.source == one.source.name and r.kind == "area" and r.cells is not None]
        same = [r.name for r in rows for box in r.boxes if overlap(box, atom.box) >= SAME_BOX]
        evidence = (one.evidence("position"),)
        if same:
            found.append(Outcome(one.name in same, f"that box holds {same[0]}", evidence))
            continue
        inside = {r.name: ((r.cells or 0) & cells).bit_count() / cells.bit_count() for r in rows}
        own = inside.get(one.name, 0.0)
        rival = max((v for k, v in inside.items() if k != one.name), default=0.0)
        reason = f"that box holds {own:.0%} {one.name}"
        if own >= 0.5 and own > rival + 0.1:
            found.append(Outcome(True, reason, evidence))
        elif one.whole and (own < 0.1 or own < rival - 0.1):
            found.append(Outcome(False, reason, evidence))
        else:
            found.append(Outcome(None, reason, evidence))
    return agreed(found, silent(atom.concept))
