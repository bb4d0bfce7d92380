"""Stage `split`: train, val and test by geography, with a certificate that fails the stage when it does not hold.

Square blocks of the ground are assigned whole, by a hash of their place: new scenes never move an old chip from one
side to the other. Chips of the weaker side that lie nearer than the buffer to the stronger one (test before val
before train) are set aside, whatever their sensor or date: a Sentinel-1 chip of a test place leaks as well.
"""

import polars as pl
from pydantic import Field, model_validator

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load, read_params
from tasks.core.stage import Summary, main, write_json
from tasks.earth.geographic_split import ChipFootprints, certify, set_apart
from tasks.earth.grid import FALSE_NORTHING, GridParams, stable_hash

NAMES = ("train", "val", "test", "buffer")


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


def run() -> Summary:
    """Split all chips and write the certificate."""
    params, grid = load(SplitParams, "split"), load(GridParams, "grid")
    chips = read_chips()
    sides = set_apart(assign(chips, grid.cell * params.block_cells, params), ChipFootprints(chips), params.buffer)
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
