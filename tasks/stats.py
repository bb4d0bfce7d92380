"""Stage `stats`: mean, deviation and distribution of every band over the training chips of one sensor.

Exact and streaming: one shard is in memory at a time, and percentiles are found by counting the bits of the
values, not by sampling. Only chips of the training side are read, so that nothing of the test places leaks
into the model. The ratio of a radar's polarisations is counted as a band of its own, since it is shown to the model
as one. Of a sensor with true colour, the 8-bit rendering that people are shown of its chips is measured too: a picture
that somebody asks about is normalised by it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load, read_params
from tasks.core.stage import Summary, main, write_json
from tasks.earth import geotiff
from tasks.earth.display_sensors import PICTURE
from tasks.earth.pictures import stretched
from tasks.earth.sensors import SENSORS, Sensor
from tasks.vlm.bands import with_ratio

PERCENTILES = (2, 98)
Plane = NDArray[np.float32]


class StatsParams(Section):
    """`stats:` in params.yaml."""

    bins: int = Field(ge=2, le=1024, description="bins of each band's histogram, from its least to its largest value")


def ordered_bits(values: Plane) -> NDArray[np.uint32]:
    """Bits of finite float32 values as integers that rise with the values."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint32)


def from_ordered_bits(bits: int) -> float:
    """The value whose `ordered_bits` these are."""
    raw = bits & 0x7FFFFFFF if bits >> 31 else ~bits & 0xFFFFFFFF
    return float(np.uint32(raw).view(np.float32))


@dataclass
class RunningStatistics:
    """First pass over one band: count, mean, sum of squared distances, bounds, and counts of the upper 16
    bits.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    upper: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 16, dtype=np.int64))

    def add(self, values: Plane) -> None:
        """Take in finite values; batches are merged by Chan's formula, so the order of summation is
        harmless.
        """
        if not values.size:
            return
        wide = values.astype(np.float64)
        mean, squares = float(wide.mean()), float(((wide - wide.mean()) ** 2).sum())
        total, step = self.count + values.size, mean - self.mean
        self.squares += squares + step**2 * self.count * values.size / total
        self.mean += step * values.size / total
        self.count = total
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.upper += np.bincount(ordered_bits(values) >> 16, minlength=1 << 16)

    def place(self, percent: float) -> tuple[int, int]:
        """(upper 16 bits, rank among the values that share them) of a percentile, nearest rank from below."""
        rank = max(0, int(np.ceil(self.count * percent / 100)) - 1)
        ends = self.upper.cumsum()
        upper = int(np.searchsorted(ends, rank, side="right"))
        return upper, rank - int(ends[upper] - self.upper[upper])


@dataclass
class Distribution:
    """Second pass over one band: histogram, and counts of the lower 16 bits where a percentile lies."""

    edges: NDArray[np.float64]
    wanted: dict[int, tuple[int, int]]
    counts: NDArray[np.int64]
    lower: dict[int, NDArray[np.int64]]

    @classmethod
    def after(cls, statistics: RunningStatistics, bins: int) -> "Distribution":
        """An empty one, for the bounds and percentile places that the first pass found."""
        high = statistics.high if statistics.high > statistics.low else statistics.low + 1
        wanted = {percent: statistics.place(percent) for percent in PERCENTILES}
        lower = {upper: np.zeros(1 << 16, dtype=np.int64) for upper, _ in wanted.values()}
        return cls(np.linspace(statistics.low, high, bins + 1), wanted, np.zeros(bins, dtype=np.int64), lower)

    def add(self, values: Plane) -> None:
        """Take in finite values."""
        self.counts += np.histogram(values, self.edges)[0]
        bits = ordered_bits(values)
        for upper, counts in self.lower.items():
            counts += np.bincount(bits[bits >> 16 == upper] & 0xFFFF, minlength=1 << 16)

    def percentile(self, percent: int) -> float:
        """The exact value."""
        upper, rank = self.wanted[percent]
        lower = int(np.searchsorted(self.lower[upper].cumsum(), rank, side="right"))
        return from_ordered_bits(upper << 16 | lower)


def training_chips(sensor: str) -> Iterator[dict[str, Plane]]:
    """Finite values of every band of each training chip, part by part and shard by shard."""
    split = tables.read(paths.split() / "assignment.parquet", ["chip_id", "split"])
    chosen = {c for c, s in zip(split["chip_id"].to_pylist(), split["split"].to_pylist(), strict=True) if s == "train"}
    for part in read_params()["grid"]["parts"]:
        for shard in sorted(paths.chips(sensor, part).glob("shard-*.parquet")):
            table = tables.read(shard, ["chip_id", "pixels"])
            for chip_id, pixels in zip(table["chip_id"], table["pixels"], strict=True):
                if chip_id.as_py() in chosen:
                    yield planes_of(pixels.as_py(), SENSORS[sensor], f"chip {chip_id} in {shard}")


def planes_of(content: bytes, sensor: Sensor, what: str = "a chip") -> dict[str, Plane]:
    """Finite values of each band of one GeoTIFF, and of the ratio if it is a radar's."""
    raster = geotiff.decode(content, what=what)
    stack = with_ratio(sensor, raster.pixels, raster.bands)
    names = [*raster.bands, sensor.ratio_of(raster.bands) or ""][: len(stack)]
    return {name: plane[np.isfinite(plane)] for name, plane in zip(names, stack, strict=True)}


def band_statistics(sensor: str, bins: int) -> dict[str, Any]:
    """What stage `stats` writes about one sensor.

    Raises:
        EmptyStageError: no chip of the sensor is on the training side, or a band has no valid pixel there.
    """
    statistics: dict[str, RunningStatistics] = {}
    rendering = {colour: RunningStatistics() for colour in PICTURE.rgb or ()}
    chips = 0
    for planes in training_chips(sensor):
        chips += 1
        for name, values in planes.items():
            statistics.setdefault(name, RunningStatistics()).add(values)
        for colour, levels in rendered(planes, SENSORS[sensor]).items():
            rendering[colour].add(levels)
    if SENSORS[sensor].cube:
        # Bands of light that the air absorbs hold nothing in any scene.
        statistics = {name: band for name, band in statistics.items() if band.count}
    empty = [name for name, band in statistics.items() if not band.count]
    if not chips or empty:
        what = f"no valid pixel in {', '.join(empty)}" if chips else "no chip"
        raise EmptyStageError(
            f"{sensor} has {what} on the training side of {paths.split() / 'assignment.parquet'}; "
            "add scenes, or change split.seed in params.yaml"
        )
    distributions = {name: Distribution.after(band, bins) for name, band in statistics.items()}
    for planes in training_chips(sensor):
        for name in planes.keys() & distributions.keys():
            distributions[name].add(planes[name])
    known = SENSORS[sensor].plane_names or sorted(statistics)
    names = [name for name in known if name in statistics]
    bands = [describe(name, statistics[name], distributions[name]) for name in names]
    found = {"sensor": sensor, "unit": SENSORS[sensor].unit, "split": "train", "chips": chips, "bands": bands}
    if all(colour.count for colour in rendering.values()):
        colours = [{"name": name, **moments(one)} for name, one in rendering.items()]
        found["rendering"] = {"sensor": PICTURE.name, "unit": PICTURE.unit, "bands": colours}
    return found


def rendered(planes: dict[str, Plane], sensor: Sensor) -> dict[str, Plane]:
    """Red, green and blue of 0 to 255 as a viewer shows a chip, by the names of a picture's; empty without them."""
    shown = [planes[band] for band in sensor.rgb or () if band in planes and planes[band].size]
    levels = [(stretched(values) * 255).round() for values in shown]
    return dict(zip(PICTURE.rgb or (), levels, strict=True)) if len(levels) == 3 else {}


def moments(statistics: RunningStatistics) -> dict[str, Any]:
    """Count, mean and deviation, as they stand in the JSON."""
    deviation = float(np.sqrt(statistics.squares / statistics.count))
    return {"count": statistics.count, "mean": statistics.mean, "std": deviation}


def describe(name: str, statistics: RunningStatistics, distribution: Distribution) -> dict[str, Any]:
    """One band as it stands in the JSON; values in the unit of the sensor."""
    return {
        "name": name,
        **moments(statistics),
        "min": statistics.low,
        "max": statistics.high,
        **{f"p{percent:02d}": distribution.percentile(percent) for percent in PERCENTILES},
        "histogram": {"edges": distribution.edges.tolist(), "counts": distribution.counts.tolist()},
    }


def run(sensor: str) -> Summary:
    """Measure the training chips of one sensor."""
    stats = band_statistics(sensor, load(StatsParams, "stats").bins)
    write_json(paths.stats(sensor), stats)
    return {"chips": stats["chips"], "bands": len(stats["bands"])}


if __name__ == "__main__":
    main("stats", run)
