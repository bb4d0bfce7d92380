"""Distances between chips, the buffer that keeps train, val and test apart, and the certificate that it does."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.spatial import KDTree

from tasks.core.errors import LeakageError
from tasks.earth.grid import to_lonlat

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


class ChipFootprints:
    """Distances between chips, on the ellipsoid's chord for the search and exact in a zone's metres."""

    def __init__(self, chips: pl.DataFrame) -> None:
        self.boxes = chips.select("left", "bottom", "right", "top").to_numpy()
        self.epsg = chips["epsg"].to_numpy()
        self.half = np.hypot(self.boxes[:, 2] - self.boxes[:, 0], self.boxes[:, 3] - self.boxes[:, 1]) / 2
        self.centres = np.zeros((len(self.boxes), 3))
        to_earth = Transformer.from_crs(4326, 4978, always_xy=True)
        for epsg in np.unique(self.epsg):
            zone = self.epsg == epsg
            x, y = self.boxes[zone][:, [0, 2]].mean(axis=1), self.boxes[zone][:, [1, 3]].mean(axis=1)
            longitude, latitude = to_lonlat(int(epsg)).transform(x, y)
            self.centres[zone] = np.stack(to_earth.transform(longitude, latitude, np.zeros_like(longitude)), axis=1)

    def near(self, a: NDArray[np.int64], b: NDArray[np.int64], gap: float) -> Pairs:
        """Pairs (i of `a`, j of `b`) that may lie within `gap` metres of each other, and their gap."""
        none = np.array([], dtype=np.int64)
        if not len(a) or not len(b):
            return none, none, np.array([])
        # One part in a thousand covers the scale of UTM against the ellipsoid.
        radius = (gap + 2 * self.half.max()) * 1.001 + 1
        found = KDTree(self.centres[a]).sparse_distance_matrix(
            KDTree(self.centres[b]), radius, output_type="coo_matrix"
        )
        i, j = a[found.row], b[found.col]
        gaps = self.gaps(i, j, found.data)
        close = gaps <= gap
        return i[close], j[close], gaps[close]

    def gaps(self, i: NDArray[np.int64], j: NDArray[np.int64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres between the edges of chips: exact within a zone, a lower bound across zones."""
        a, b = self.boxes[i], self.boxes[j]
        across = np.maximum(0, np.maximum(a[:, 0] - b[:, 2], b[:, 0] - a[:, 2]))
        along = np.maximum(0, np.maximum(a[:, 1] - b[:, 3], b[:, 1] - a[:, 3]))
        bound = np.maximum(0, centre - self.half[i] - self.half[j])
        return np.asarray(np.where(self.epsg[i] == self.epsg[j], np.hypot(across, along), bound))

    def nearest(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[float, int, int] | None:
        """Smallest gap between the two groups in metres, and where; None if a group is empty."""
        if not len(a) or not len(b):
            return None
        centre, _ = KDTree(self.centres[b]).query(self.centres[a])
        # The pair with the smallest gap has its centres no further apart than this.
        i, j, gaps = self.near(a, b, float(centre.min()) * 1.001 + 1)
        best = int(np.lexsort((j, i, gaps))[0])
        return float(gaps[best]), int(i[best]), int(j[best])


def set_apart(sides: list[str], places: ChipFootprints, buffer: float) -> list[str]:
    """Move to `buffer` the val chips too near to test, then the train chips too near to test or val."""
    out = np.array(sides, dtype=object)
    for weak, strong in (("val", ("test",)), ("train", ("test", "val"))):
        inner, outer = np.flatnonzero(out == weak), np.flatnonzero(np.isin(out, strong))
        i, _, gaps = places.near(inner, outer, buffer)
        out[np.unique(i[gaps < buffer])] = "buffer"
    return [str(side) for side in out]


def certify(chips: pl.DataFrame, required: float) -> dict[str, Any]:
    """Measure what the split promises, from its result alone.

    Returns:
        For each pair of sides: the smallest distance in metres, the chips it lies between, and shared windows.

    Raises:
        LeakageError: a distance is under `required`, or a window is on two sides.
    """
    places = ChipFootprints(chips)
    side, window = chips["split"].to_numpy(), chips["window_id"].to_numpy()
    pairs: dict[str, Any] = {}
    for a, b in (("train", "test"), ("train", "val"), ("val", "test")):
        first, second = np.flatnonzero(side == a), np.flatnonzero(side == b)
        shared = sorted(set(window[first].tolist()) & set(window[second].tolist()))
        nearest = places.nearest(first, second)
        if nearest is None:
            continue
        distance, i, j = nearest
        chip_i, chip_j = chips["chip_id"][i], chips["chip_id"][j]
        if distance < required or shared:
            raise LeakageError(
                f"{a} chip {chip_i} lies {distance:.0f} m from {b} chip {chip_j}, {required:.0f} m are "
                f"required; {len(shared)} windows are on both sides{': ' + shared[0] if shared else ''}. "
                "Raise split.buffer or split.block_cells in params.yaml"
            )
        pairs[f"{a}-{b}"] = {"min_distance_m": round(distance, 3), a: chip_i, b: chip_j, "shared_cells": len(shared)}
    return pairs
