"""Where a scene of Sentinel Hub lies, from its item alone: there is no file to open."""

import numpy as np
import pystac
from pyproj import CRS, Transformer
from rasterio.warp import transform_bounds

from tasks.core.errors import SceneError
from tasks.earth.grid import Bounds, utm_epsg


def scene_extent(item: pystac.Item) -> tuple[int, Bounds]:
    """The UTM zone that a scene is worked in, and its extent in the metres of that zone.

    The zone is the one its centre lies in, as `tasks.earth.raster.scene_epsg` has it for files.

    Raises:
        SceneError: the item has no geometry, or none that is a polygon.
    """
    try:
        vertices = np.concatenate([np.asarray(ring, dtype=float)[:, :2] for ring in _rings(item.geometry or {})])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SceneError("no-geometry", f"scene {item.id} has no polygon that says where it lies") from error
    right = int(utm_epsg(*_centre(vertices)))
    own, box = own_grid(item)
    if own is not None and own - own % 100 in (32600, 32700) and own % 100 == right % 100:
        if box is not None:
            return own, box
        right = own
    x, y = Transformer.from_crs(4326, right, always_xy=True).transform(*vertices.T)
    return right, Bounds(float(np.min(x)), float(np.min(y)), float(np.max(x)), float(np.max(y)))


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


def bounds_in(bounds: Bounds, epsg: int, target: int) -> Bounds:
    """A box in the metres of one zone as the box around it in another."""
    if epsg == target:
        return bounds
    box = (bounds.left, bounds.bottom, bounds.right, bounds.top)
    return Bounds(*transform_bounds(f"EPSG:{epsg}", f"EPSG:{target}", *box))


def _rings(geometry: dict[str, object]) -> list[object]:
    coordinates = geometry["coordinates"]
    assert isinstance(coordinates, list | tuple)
    polygons = coordinates if geometry["type"] == "MultiPolygon" else [coordinates]
    return [polygon[0] for polygon in polygons]


def _centre(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(longitude, latitude) of the middle of points on the sphere, so that 180 degrees is no edge."""
    longitude, latitude = np.radians(vertices.T)
    x, y, z = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
    middle = x.mean(), y.mean(), z.mean()
    return (
        np.degrees(np.arctan2(middle[1], middle[0])),
        np.degrees(np.arctan2(middle[2], np.hypot(middle[0], middle[1]))),
    )
