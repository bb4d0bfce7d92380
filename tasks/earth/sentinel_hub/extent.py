"""Where a scene of Sentinel Hub lies, from its item alone: there is no file to open."""

import numpy as np
import pystac
from pyproj import CRS
from rasterio.transform import from_bounds

from tasks.core.errors import SceneError
from tasks.earth.geolocation import Geolocation
from tasks.earth.grid import Bounds

SIDE = 1024
"""Pixels that a scene's box is counted in, where only the box is known."""


def place_of(item: pystac.Item) -> Geolocation:
    """The box that a scene lies in: of the grid it is stored on, or around its outline in degrees.

    Raises:
        SceneError: no-geometry, the item has no polygon.
    """
    epsg, box = own_grid(item)
    if epsg is not None and box is not None:
        west, south, east, north = box.left, box.bottom, box.right, box.top
        crs = CRS.from_epsg(epsg)
    else:
        try:
            vertices = np.concatenate([np.asarray(ring, dtype=float)[:, :2] for ring in _rings(item.geometry or {})])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise SceneError("no-geometry", f"scene {item.id} has no polygon that says where it lies") from error
        longitudes = vertices[:, 0]
        if np.ptp(longitudes) > 180:  # on both sides of 180 degrees: counted on beyond it
            longitudes = np.where(longitudes < 0, longitudes + 360, longitudes)
        west, south = float(longitudes.min()), float(vertices[:, 1].min())
        east, north = float(longitudes.max()), float(vertices[:, 1].max())
        crs = CRS.from_epsg(4326)
    return Geolocation(crs, SIDE, SIDE, from_bounds(west, south, east, north, SIDE, SIDE))


def own_grid(item: pystac.Item) -> tuple[int | None, Bounds | None]:
    """EPSG code and box of the grid that a scene is stored on, each None where the item does not tell it."""
    code, box = item.properties.get("proj:code"), item.properties.get("proj:bbox")
    epsg = CRS.from_user_input(code).to_epsg() if code else None
    stated = item.properties.get("proj:geometry")
    if box is None and stated:
        corners = np.concatenate([np.asarray(ring, dtype=float)[:, :2] for ring in _rings(stated)])
        box = [*corners.min(axis=0), *corners.max(axis=0)]
    # A box in degrees, as some items have it, would leave nothing of the scene.
    if box is None or len(box) != 4 or box[2] - box[0] <= 360:
        return epsg, None
    return epsg, Bounds(*map(float, box))


def _rings(geometry: dict[str, object]) -> list[object]:
    coordinates = geometry["coordinates"]
    assert isinstance(coordinates, list | tuple)
    polygons = coordinates if geometry["type"] == "MultiPolygon" else [coordinates]
    return [polygon[0] for polygon in polygons]
