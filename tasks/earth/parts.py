"""Parts that a dataset is made in: each scene belongs to one, by a consistent hash of the place where it lies.

A part holds whole scenes, so that each block of a file is read by one part alone. A new scene, area or date moves none,
and a part that is added takes its share of the places from all others and moves nothing between them (rendezvous
hashing, Thaler and Ravishankar 1998).
"""

from collections.abc import Sequence

import numpy as np
import pystac
import shapely
import shapely.geometry

from tasks.earth.grid import stable_hash

SQUARE = 1.0
"""Degrees along a side of the places that parts are made of, about as large as a scene."""


def part_of_scene(item: pystac.Item, parts: Sequence[str]) -> str:
    """Name of the part that a scene belongs to."""
    # The outline's own points: the middle of a box that crosses 180 degrees lies on the other side of the Earth.
    x, y = shapely.get_coordinates(shapely.geometry.shape(item.geometry or {})).mean(axis=0)
    place = f"{int(np.floor(x / SQUARE))}/{int(np.floor(y / SQUARE))}"
    return max(parts, key=lambda name: stable_hash(f"{name}/{place}"))


def of_part(items: Sequence[pystac.Item], part: str, parts: Sequence[str]) -> list[pystac.Item]:
    """The scenes of one part, in their order."""
    return [item for item in items if part_of_scene(item, parts) == part]
