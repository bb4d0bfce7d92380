"""The ground that images show, and which of it two sides share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.errors import CRSError
from rasterio.warp import transform_geom
from shapely.geometry import box, mapping, shape

Footprint = shapely.Geometry
MIN_COVERED = 0.01
"""Share of a benchmark image's ground from which a training image counts as showing it: neighbours in a grid touch, and
their edges differ by the rounding of their corners."""


def of_raster(dataset: Any) -> Footprint | None:
    """The ground of an open raster, in lon/lat; None if it does not say where it is."""
    if dataset.crs is None or dataset.transform.is_identity:
        return None
    try:
        ground = transform_geom(dataset.crs, "EPSG:4326", mapping(box(*dataset.bounds)))
    except CRSError:
        return None
    return shape(ground)


def of_wkb(content: bytes | None) -> Footprint | None:
    """The ground of a chip, in lon/lat; None for one of an imported data set, which has no place."""
    return shapely.from_wkb(content) if content else None


class PlaceIndex:
    """Footprints to be found: those of the benchmark."""

    def __init__(self, footprints: Sequence[Footprint | None]) -> None:
        self._known = np.array([ground is not None for ground in footprints], dtype=bool)
        self._grounds = np.array(list(footprints), dtype=object)
        self._tree = shapely.STRtree(self._grounds)

    def __len__(self) -> int:
        """Footprints that are known."""
        return int(self._known.sum())

    def within(self, grounds: Sequence[Footprint | None]) -> tuple[NDArray[np.int64], NDArray[np.int64], Any]:
        """Every overlap of at least `MIN_COVERED` of an indexed footprint.

        Returns:
            Number of the ground asked about, number of the indexed one, share of that which is covered, (overlaps,).
        """
        queried = np.array(list(grounds), dtype=object)
        query, entry = self._tree.query(queried, predicate="intersects")
        shared = shapely.area(shapely.intersection(queried[query], self._grounds[entry]))
        share = shared / shapely.area(self._grounds[entry])
        enough = share >= MIN_COVERED
        return query[enough], entry[enough], share[enough]
