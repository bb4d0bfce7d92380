"""Crops of chips: a square of a chip, turned, with what is known of that square alone.

A few hundred chips are too few to learn to see from. Squares inside them, each with its labels measured again, are more
of the same ground: what is said of a crop is as true as what is said of a chip, directions included. Ours; the papers
have chips enough.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.dialogue.facts import ChipFacts, Label
from tasks.earth.grid import stable_hash
from tasks.earth.label_fractions import places
from tasks.earth.label_masks import SIDE, pack, resized

TURNS = 8
"""Four quarters of a turn, each also mirrored."""
CROP = pa.struct([("left", pa.int32()), ("top", pa.int32()), ("side", pa.int32()), ("turn", pa.int32())])
"""`Crop` as a column."""
WHERE_IT_LIES = ("country", "longitude", "latitude", "taken", "platform")
"""Facts of a chip that say nothing of what a crop shows: what is asked about them needs no crop."""


@dataclass(frozen=True)
class Crop:
    """A square of a chip in cells of its masks, of which a side has `SIDE`; what is cut out is turned."""

    left: int
    top: int
    side: int
    turn: int = 0
    """Quarters to the left, from 4 on mirrored from west to east after that as well."""

    def cut(self, planes: NDArray[Any]) -> NDArray[Any]:
        """(..., height, width) of a whole chip -> the square, turned.

        Raises:
            ValueError: a side of the chip is no multiple of the cells, so that the square would not end with a pixel.
        """
        height, width = planes.shape[-2:]
        if height % SIDE or width % SIDE:
            raise ValueError(
                f"a crop is cut in {SIDE} cells a side, which {width} x {height} pixels do not divide into"
            )
        rows, columns = height // SIDE, width // SIDE
        square = planes[
            ...,
            self.top * rows : (self.top + self.side) * rows,
            self.left * columns : (self.left + self.side) * columns,
        ]
        turned = np.rot90(square, self.turn % 4, (-2, -1))
        return np.ascontiguousarray(turned[..., ::-1] if self.turn >= TURNS // 2 else turned)


def draw(chip_id: str, number: int, seed: int, least: int) -> Crop:
    """The crop of a chip by its number: the same for the same seed.

    Args:
        chip_id: of the chip.
        number: of the crop, from 0.
        seed: of the data set.
        least: cells of the smallest side.
    """
    random = np.random.default_rng(stable_hash(f"crop/{seed}/{chip_id}/{number}"))
    side = int(random.integers(least, SIDE + 1))
    left, top = (int(random.integers(0, SIDE - side + 1)) for _ in range(2))
    return Crop(left, top, side, int(random.integers(TURNS)))


def facts_of(facts: ChipFacts, crop: Crop, name: str, min_fraction: float) -> ChipFacts:
    """What is known of a crop: the areas of its labels measured again in it.

    Features are left out, since boxes and counts of what a cut goes through are not known; so is what holds somewhere
    around the chip, what was measured on all its pixels, and where and when it was taken.

    Args:
        facts: of the chip.
        crop: of it.
        name: of the crop, in place of the chip's id.
        min_fraction: share under which a label is not there.
    """
    labels = []
    for label in facts.labels:
        if label.plane is None or label.fraction is None:
            continue
        square = crop.cut(label.plane)
        fraction = float(square.mean())
        if fraction >= min_fraction:
            labels.append(_label(label, square, fraction))
    sources = {name: source for name, source in facts.sources.items() if not source.is_tag}
    side = None if facts.side is None else facts.side * crop.side / SIDE
    nowhere: Mapping[str, Any] = dict.fromkeys(WHERE_IT_LIES) | {"platform": ""}
    return replace(facts, chip_id=name, labels=tuple(labels), sources=sources, side=side, pixels={}, **nowhere)


def _label(label: Label, square: NDArray[np.bool_], fraction: float) -> Label:
    where, mask = str(places(square[None])[0]), pack(resized(square[None])[0])
    return replace(label, fraction=round(fraction, 6), position=where, mask=mask, count=None, length=None, boxes=())
