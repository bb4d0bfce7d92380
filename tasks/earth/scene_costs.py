"""What the scenes of a search would cost, before all of them are asked for: windows and pixels, from a few numbers.

An area of the whole Earth is a line of params.yaml; what it means is found out in months. So the catalog is asked how
many scenes there are and what the first look like, and more than the bound allows is refused with the numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pystac
import shapely
from pyproj import Geod

from tasks.core.errors import ParamsError
from tasks.earth.catalog import Catalog
from tasks.earth.conditions import Query, item_boxes, planar
from tasks.earth.grid import window_grid
from tasks.earth.sensors import Sensor

SAMPLE = 20
"""Scenes of each query that are looked at for their size."""
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Cost:
    """Of some scenes of one sensor."""

    scenes: int
    windows: int
    gigabytes: float
    """Of the pixels of all windows, before any filter: 16 bit, all bands."""

    def require(self, most: int, sensor: str, how: str) -> None:
        """Refuse what is more than the bound.

        Raises:
            ParamsError: says what it would cost, and what to do.
        """
        if self.windows > most:
            raise ParamsError(
                f"params.yaml: {sensor}: {self.scenes:,} scenes ({how}) have some {self.windows:,} candidate windows, "
                f"{self.gigabytes:,.0f} GB of pixels before any filter, and scenes.max_windows allows {most:,}. Name "
                "smaller areas or a shorter time, or a larger grid.cell; or raise scenes.max_windows, if that is meant"
            )


def area_of(shape: Any) -> float:
    """Square metres of a shape in degrees."""
    # Long edges follow a parallel, which no geodesic does: in steps of some degrees it nearly does.
    return abs(float(_GEOD.geometry_area_perimeter(shapely.segmentize(shape, 5.0))[0]))


def cost_of(items: Sequence[pystac.Item], areas: Any, sensor: Sensor, cell: int, scenes: int | None = None) -> Cost:
    """What scenes like these cost, as far as they lie in the areas.

    Args:
        items: some of them.
        areas: what was searched, one shape in degrees.
        sensor: they are of.
        cell: side of a cell of the grid, metres.
        scenes: how many there are in all; None: those given.
    """
    grid = window_grid(32601, cell, sensor.window_cells)
    inside = [
        sum(area_of(shapely.intersection(shapely.box(*box), areas)) for box in item_boxes(item)) for item in items
    ]
    count = len(items) if scenes is None else scenes
    windows = round(count * sum(inside) / max(len(inside), 1) / grid.size**2)
    pixels = sensor.band_count * grid.pixels(sensor.gsd) ** 2
    return Cost(count, windows, windows * pixels * 2 / 1e9)


def searched(queries: Sequence[Query]) -> Any:
    """Where queries look, as one shape in degrees."""
    whole = (-180.0, -90.0, 180.0, 90.0)
    return shapely.union_all([shapely.box(*box) for query in queries for box in planar(query.bbox or whole)])


def plan(catalog: Catalog, queries: Sequence[Query], sensor: Sensor, cell: int, most: int) -> None:
    """Refuse a search whose scenes would be more than the bound, from the catalog's own count of them.

    Asked only where the areas are so large that this may be; a catalog that does not count is searched, and what was
    found is held against the bound then.

    Raises:
        ParamsError: says what it would cost, and what to do.
    """
    size = window_grid(32601, cell, sensor.window_cells).size
    if area_of(searched(queries)) / size**2 <= most:
        return
    found = []
    for query in queries:
        count = catalog.matched(query)
        if count:
            found.append(cost_of(catalog.first(query, SAMPLE), searched([query]), sensor, cell, count))
    total = Cost(*(sum(getattr(one, name) for one in found) for name in ("scenes", "windows", "gigabytes")))
    total.require(most, sensor.name, "as the catalog counts them, of any cloud")
