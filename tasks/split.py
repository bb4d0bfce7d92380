"""Stage `split`: train, val and test by geography, with a certificate that fails the stage when it does not hold.

Square blocks of the ground are assigned whole, by a hash of their place: new scenes never move an old chip from one
side to the other. Chips of the weaker side that lie nearer than the buffer to the stronger one (test before val
before train) are set aside, whatever their sensor or date: a Sentinel-1 chip of a test place leaks as well.
"""

import logging
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pyproj import Transformer
from scipy.spatial import KDTree

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, LeakageError
from tasks.core.section import Section, load, read_params
from tasks.core.stage import Summary, main, write_json
from tasks.earth.grid import FALSE_NORTHING, GridParams, stable_hash, to_lonlat

logger = logging.getLogger(__name__)
NAMES = ("train", "val", "test", "buffer")
Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


class SplitParams(Section):
    """`split:` in params.yaml."""

    seed: int = Field(ge=0, description="decides which blocks are test; change it only with the dataset's version")
    block_cells: int = Field(ge=1, description="side of a block, in cells of the grid")
    val: float = Field(gt=0, lt=0.5, description="share of the blocks")
    test: float = Field(gt=0, lt=0.5, description="share of the blocks")
    buffer: float = Field(ge=0, description="metres that keep train from val and test, and val from test")

    @model_validator(mode="after")
    def _leaves_some_for_training(self) -> "SplitParams":
        if self.val + self.test >= 0.9:
            raise ValueError(f"val + test is {self.val + self.test}; less than 0.9 must be left for training")
        return self


def read_chips() -> pl.DataFrame:
    """Place of every chip: chip_id, window_id, sensor, epsg, left, bottom, right, top.

    All in northern zones: Landsat uses them in both hemispheres, Sentinel-2 does not, and both may show one place.
    """
    values = read_params()
    columns = ["chip_id", "window_id", "sensor", "crs", "transform", "width", "height"]
    found = [
        tables.read_shards(paths.chips(sensor, part), columns)
        for sensor in values["sensors"]["enabled"]
        for part in load(GridParams, "grid").parts
    ]
    frames = [frame for table in found if table.num_rows and isinstance(frame := pl.from_arrow(table), pl.DataFrame)]
    if not frames:
        raise EmptyStageError("there is no chip to split; see the quarantine tables under data/chips")
    step, left, top = (pl.col("transform").list.get(i) for i in (0, 2, 5))
    return (
        pl.concat([frame.with_columns(pl.col("transform").cast(pl.List(pl.Float64))) for frame in frames])
        .with_columns(
            epsg=pl.col("crs").str.strip_prefix("EPSG:").cast(pl.Int64),
            left=left,
            top=top,
            right=left + step * pl.col("width"),
            bottom=top - step * pl.col("height"),
        )
        .with_columns(southern=pl.col("epsg") >= 32700)
        .with_columns(
            epsg=pl.col("epsg") - 100 * pl.col("southern"),
            bottom=pl.col("bottom") - FALSE_NORTHING * pl.col("southern"),
            top=pl.col("top") - FALSE_NORTHING * pl.col("southern"),
        )
        .select("chip_id", "window_id", "sensor", "epsg", "left", "bottom", "right", "top")
        .sort("chip_id")
    )


def assign(chips: pl.DataFrame, block: float, params: SplitParams) -> list[str]:
    """Side of each chip by the hash of the block its centre lies in, before the buffer.

    Args:
        chips: as `read_chips` gives them.
        block: side of a block, metres.
        params: shares and seed.
    """
    column = ((chips["left"] + chips["right"]) / 2 / block).floor().cast(pl.Int64)
    row = ((chips["bottom"] + chips["top"]) / 2 / block).floor().cast(pl.Int64)

    def side(place: tuple[int, int, int]) -> str:
        draw = stable_hash(f"{params.seed}/{place[0]}/{place[1]}/{place[2]}") / 2**64
        return "test" if draw < params.test else "val" if draw < params.test + params.val else "train"

    places = list(zip(chips["epsg"], column, row, strict=True))
    sides = {place: side(place) for place in set(places)}
    return [sides[place] for place in places]


class Places:
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
        reach = (gap + 2 * self.half.max()) * 1.001 + 1
        found = KDTree(self.centres[a]).sparse_distance_matrix(KDTree(self.centres[b]), reach, output_type="coo_matrix")
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


def set_apart(sides: list[str], places: Places, buffer: float) -> list[str]:
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
    places = Places(chips)
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


def run() -> Summary:
    """Split all chips and write the certificate."""
    params, grid = load(SplitParams, "split"), load(GridParams, "grid")
    chips = read_chips()
    sides = set_apart(assign(chips, grid.cell * params.block_cells, params), Places(chips), params.buffer)
    chips = chips.with_columns(split=pl.Series(sides))
    counts = {name: chips.filter(pl.col("split") == name).height for name in NAMES}
    for sensor in chips["sensor"].unique().sort():
        for name in ("train", "test"):
            if chips.filter((pl.col("sensor") == sensor) & (pl.col("split") == name)).is_empty():
                raise EmptyStageError(
                    f"{sensor} has no {name} chip ({counts}); change split.seed, make the blocks smaller "
                    "(split.block_cells), or add scenes"
                )
    pairs = certify(chips, params.buffer)
    tables.write(
        chips.select("chip_id", "window_id", "sensor", "split").to_arrow(), paths.split() / "assignment.parquet"
    )
    held = pairs.get("train-test", {})
    write_json(
        paths.split() / "certificate.json",
        {
            "min_distance_m": held.get("min_distance_m"),
            "required_m": params.buffer,
            "shared_cells": sum(pair["shared_cells"] for pair in pairs.values()),
            "nearest": {name: held.get(name) for name in ("train", "test")},
            "pairs": pairs,
            "counts": counts,
        },
    )
    return {"chips": chips.height, **counts, "min_train_test_m": held.get("min_distance_m", -1.0)}


if __name__ == "__main__":
    main("split", run)
