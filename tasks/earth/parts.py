"""Parts that a dataset is made in: each scene belongs to one, by a consistent hash of the place where it lies.

A part holds whole scenes, so that each block of a file is read by one part alone. A new scene, area or date moves none,
and a part that is added takes its share of the places from all others and moves nothing between them (rendezvous
hashing, Thaler and Ravishankar 1998).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pystac
import shapely
import shapely.geometry
from numpy.typing import NDArray

from tasks.core.errors import SceneError
from tasks.earth.conditions import item_boxes
from tasks.earth.grid import stable_hash

SQUARE = 1.0
"""Degrees along a side of the places that parts are made of, about as large as a scene."""
POLAR = 85.0
"""Latitude from which meridians are so near to each other that all scenes are in one place."""


def part_of_scene(item: pystac.Item, parts: Sequence[str]) -> str:
    """Name of the part that a scene belongs to.

    Raises:
        SceneError: the item does not say where the scene lies.
    """
    place = "/".join(map(str, _place(item)))
    return max(parts, key=lambda name: stable_hash(f"{name}/{place}"))


def of_part(items: Sequence[pystac.Item], part: str, parts: Sequence[str]) -> list[pystac.Item]:
    """The scenes of one part, in their order.

    Raises:
        SceneError: as of `part_of_scene`.
    """
    return [item for item in items if part_of_scene(item, parts) == part]


def _place(item: pystac.Item) -> tuple[int, int]:
    """Column and row of the square that the middle of a scene lies in."""
    x, y = _outline(item).T
    latitude = float(y.mean())
    if abs(latitude) >= POLAR:
        return 0, int(np.sign(latitude) * 90)
    # The middle on the circle: of a scene at 180 degrees some points are at one end of the map, some at the other.
    angle = np.radians(x)
    longitude = float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())))
    columns = round(360 / SQUARE)
    return (int(np.floor(longitude / SQUARE)) + columns // 2) % columns - columns // 2, int(np.floor(latitude / SQUARE))


def _outline(item: pystac.Item) -> NDArray[np.float64]:
    """Points [n, 2] around a scene in degrees: of its geometry, or of its box where it has none that can be read."""
    found: NDArray[Any] = np.zeros((0, 2))
    try:
        if item.geometry:
            found = shapely.get_coordinates(shapely.geometry.shape(item.geometry))
        if not len(found) or not np.isfinite(found).all():
            found = shapely.get_coordinates([shapely.box(*box) for box in item_boxes(item)])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError):
        found = np.zeros((0, 2))
    if not len(found) or not np.isfinite(found).all():
        raise SceneError(
            "no-footprint",
            f"scene {item.id} of '{item.collection_id}' has neither a geometry nor a box that says where it lies, so "
            "that no part can be named for it; take its collection out of the catalog's, or have the catalog mended",
        )
    return np.asarray(found, dtype=np.float64)
