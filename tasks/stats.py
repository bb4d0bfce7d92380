"""Stage `stats`: mean, deviation and distribution of every band over the training chips of one sensor.

One pass, one row group in memory at a time. Numbers are counted as they are stored, so that everything is exact where
scenes are stored as integers; of floats `tasks.earth.value_counts` says how near percentiles and histogram are. Only
chips of the training side are read, so that nothing of the test places leaks into the model. The ratio of a radar's
polarisations is counted as a band of its own, since it is shown to the model as one. Of a sensor with true colour, the
8-bit rendering that people are shown of its chips is measured too: a picture that somebody asks about is normalised by
it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load, read_params
from tasks.core.stage import Summary, main, require, write_json
from tasks.earth import geotiff
from tasks.earth.display_sensors import PICTURE
from tasks.earth.geotiff import StoredImage
from tasks.earth.pictures import stretched
from tasks.earth.sensors import SENSORS, Sensor
from tasks.earth.value_counts import ValueCounts
from tasks.vlm.bands import with_ratio

PERCENTILES = (2, 98)
Plane = NDArray[np.float32]


class StatsParams(Section):
    """`stats:` in params.yaml."""

    bins: int = Field(ge=2, le=1024, description="bins of each band's histogram, from its least to its largest value")


def training_chips(sensor: str) -> Iterator[StoredImage]:
    """Each training chip as it is stored, part by part and shard by shard.

    Raises:
        DamagedFileError: a shard does not hold what was written to it.
        ChecksumError: a chip does not.
    """
    assignment = require(paths.split() / "assignment.parquet")
    with tables.whole(assignment):
        training = (
            pl.scan_parquet(assignment)
            .filter((pl.col("split") == "train") & (pl.col("sensor") == sensor))
            .select("chip_id")
            .collect()
        )
    for part in read_params()["grid"]["parts"]:
        for shard in sorted(paths.chips(sensor, part).glob("shard-*.parquet")):
            for chips in tables.picked(shard, _rows_of(shard, training), ["chip_id", "pixels"]):
                for row in chips.to_pylist():
                    yield geotiff.decode_layers(row["pixels"], what=f"chip {row['chip_id']} in {shard}")


def _rows_of(shard: Path, chips: pl.DataFrame) -> NDArray[np.int64]:
    """Numbers of the rows of a shard that hold one of the chips."""
    names = pl.DataFrame(pl.from_arrow(tables.read(shard, ["chip_id"]))).with_row_index()
    return names.join(chips, on="chip_id", how="semi").sort("index")["index"].to_numpy().astype(np.int64)


def band_statistics(sensor: str, bins: int) -> dict[str, Any]:
    """What stage `stats` writes about one sensor.

    Raises:
        EmptyStageError: no chip of the sensor is on the training side, or a band has no valid pixel there.
    """
    counted: dict[str, ValueCounts] = {}
    rendering = {colour: ValueCounts() for colour in PICTURE.rgb or ()}
    chips = 0
    for image in training_chips(sensor):
        chips += 1
        count(image, SENSORS[sensor], counted)
        for colour, levels in rendered(image, SENSORS[sensor]).items():
            rendering[colour].add_numbers(levels, 1, 0, np.nan)
    if SENSORS[sensor].cube:
        # Bands of light that the air absorbs hold nothing in any scene.
        counted = {name: band for name, band in counted.items() if band.count}
    empty = [name for name, band in counted.items() if not band.count]
    if not chips or empty:
        what = f"no valid pixel in {', '.join(empty)}" if chips else "no chip"
        raise EmptyStageError(
            f"{sensor} has {what} on the training side of {paths.split() / 'assignment.parquet'}; "
            "add scenes, or change split.seed in params.yaml"
        )
    known = SENSORS[sensor].plane_names or sorted(counted)
    bands = [describe(name, counted[name], bins) for name in known if name in counted]
    found = {"sensor": sensor, "unit": SENSORS[sensor].unit, "split": "train", "chips": chips, "bands": bands}
    if all(colour.count for colour in rendering.values()):
        colours = [{"name": name, **mean_and_deviation(one)} for name, one in rendering.items()]
        found["rendering"] = {"sensor": PICTURE.name, "unit": PICTURE.unit, "bands": colours}
    return found


def count(image: StoredImage, sensor: Sensor, counted: dict[str, ValueCounts]) -> None:
    """Add each band of a chip to its counts, and the ratio if it is a radar's; a coarse pixel counts as those that it
    covers of the finest.
    """
    for layer in image.layers:
        times = image.height * image.width // layer.pixels[0].size
        for name, plane, scale, offset in zip(layer.bands, layer.pixels, layer.scales, layer.offsets, strict=True):
            counted.setdefault(name, ValueCounts()).add_numbers(plane, scale, offset, layer.nodata, times)
    ratio = sensor.ratio_of(image.bands)
    if ratio:
        stack = with_ratio(sensor, geotiff.physical(image).pixels, image.bands)
        counted.setdefault(ratio, ValueCounts()).add_numbers(stack[-1], 1, 0, np.nan)


def rendered(image: StoredImage, sensor: Sensor) -> Mapping[str, NDArray[np.uint8]]:
    """Red, green and blue of 0 to 255 as a viewer shows a chip, by the names of a picture's, of valid pixels; empty
    without them.
    """
    raster = geotiff.physical(image.only(sensor.rgb or ()))
    planes = {name: plane[np.isfinite(plane)] for name, plane in zip(raster.bands, raster.pixels, strict=True)}
    shown = [planes[band] for band in sensor.rgb or () if band in planes and planes[band].size]
    levels = [(stretched(values) * 255).round().astype(np.uint8) for values in shown]
    return dict(zip(PICTURE.rgb or (), levels, strict=True)) if len(levels) == 3 else {}


def mean_and_deviation(band: ValueCounts) -> dict[str, Any]:
    """Count, mean and deviation, as they stand in the JSON."""
    return {"count": band.count, "mean": band.mean, "std": band.deviation}


def describe(name: str, band: ValueCounts, bins: int) -> dict[str, Any]:
    """One band as it stands in the JSON; values in the unit of the sensor."""
    edges, counts = band.histogram(bins)
    return {
        "name": name,
        **mean_and_deviation(band),
        "min": band.low,
        "max": band.high,
        **{f"p{percent:02d}": band.percentile(percent) for percent in PERCENTILES},
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def run(sensor: str) -> Summary:
    """Measure the training chips of one sensor."""
    stats = band_statistics(sensor, load(StatsParams, "stats").bins)
    write_json(paths.stats(sensor), stats)
    return {"chips": stats["chips"], "bands": len(stats["bands"])}


if __name__ == "__main__":
    main("stats", run)
