"""The facts of the chips of one part: labels, what their sources can tell, metadata, and what the pixels say.

Chips come in the order of their shards, one row group in memory at a time; labels are looked up on disk.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import shapely
from rasterio.errors import RasterioError

from tasks.core import paths, tables
from tasks.core.errors import DamagedFileError
from tasks.core.stage import read_json, require
from tasks.dialogue.facts import ChipFacts, Label, SourceInfo, Statistics
from tasks.earth import geotiff
from tasks.earth.chip_measures import measure
from tasks.earth.countries import country_at
from tasks.earth.sensors import SENSORS

METADATA = ("chip_id", "platform", "datetime", "transform", "width", "height", "geometry")


class ByChip:
    """Rows of a table that is sorted by chip, read from disk as they are asked for."""

    def __init__(self, path: Path, into: Path) -> None:
        """Of a Parquet file; `into` is the Arrow file that rows are read from."""
        self._table = tables.mapped(path, into)
        self._names = self._table["chip_id"]

    def rows(self, chip_id: str) -> list[dict[str, Any]]:
        """All rows of a chip."""
        places = range(len(self._names))
        start = bisect_left(places, chip_id, key=self._name)
        stop = start
        while stop < len(self._names) and self._name(stop) == chip_id:
            stop += 1
        found: list[dict[str, Any]] = self._table.slice(start, stop - start).to_pylist() if stop > start else []
        return found

    def _name(self, place: int) -> str:
        return str(self._names[place].as_py())


@dataclass(frozen=True)
class LabelBook:
    """What the stage `labels` left of one part of a sensor."""

    sensor: str
    labels: ByChip
    complete: ByChip
    sources: Mapping[str, SourceInfo]
    """Whether one is complete is known of each chip."""

    def of(self, chip_id: str) -> tuple[tuple[Label, ...], dict[str, SourceInfo]]:
        """Labels of a chip, and the sources that describe it."""
        labels = tuple(_label(row) for row in self.labels.rows(chip_id))
        sources = {label.source: self.sources[label.source] for label in labels}
        for row in self.complete.rows(chip_id):
            looked_for = None if row["labels"] is None else frozenset(row["labels"])
            sources[row["source"]] = replace(self.sources[row["source"]], complete=True, looked_for=looked_for)
        return labels, sources


def open_labels(sensor: str, folder: Path, work: Path) -> LabelBook:
    """The labels of a part of a sensor, in `folder`; `work` is a folder for files that they are read from."""
    sources = {
        name: SourceInfo(name, source["kind"], False, tuple(source["labels"]), tuple(source["change"]))
        for name, source in read_json(folder / "sources.json").items()
    }
    labels = ByChip(folder / "labels.parquet", work / "labels.arrow")
    return LabelBook(sensor, labels, ByChip(folder / "complete.parquet", work / "complete.arrow"), sources)


def _label(row: Mapping[str, Any]) -> Label:
    boxes = tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in row["boxes"] or ())
    return Label(
        row["label"],
        row["source"],
        row["kind"],
        row["fraction"],
        row["count"],
        row["position"],
        row["length"],
        row["date"],
        boxes,
        row["mask"],
    )


def chips_of(
    book: LabelBook, part: str, wanted: Callable[[str], bool] | None = None, pixels: bool = True
) -> Iterator[ChipFacts]:
    """Facts of the chips of a part.

    Args:
        book: labels of the sensor in this part.
        part: of the grid.
        wanted: whether a chip is; None: all are.
        pixels: whether pixels are decoded; without them nothing is known of indices, backscatter, temperature.

    Raises:
        MissingInputError: the part was not made.
        DamagedFileError: a shard does not hold what was written to it.
    """
    columns = [*METADATA, "pixels"] if pixels else list(METADATA)
    for shard in sorted(require(paths.chips(book.sensor, part)).glob("shard-*.parquet")):
        with tables.whole(shard), pq.ParquetFile(shard, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                chips = file.read_row_group(group, columns=columns)
                for row in chips.to_pylist():
                    if wanted is None or wanted(row["chip_id"]):
                        yield _facts(book, row, f"chip {row['chip_id']} in {shard}")


def count_chips(sensor: str, part: str) -> int:
    """How many chips a part has."""
    shards = sorted(require(paths.chips(sensor, part)).glob("shard-*.parquet"))
    total = 0
    for shard in shards:
        with tables.whole(shard):
            total += pq.read_metadata(shard).num_rows
    return total


def _facts(book: LabelBook, row: Mapping[str, Any], what: str) -> ChipFacts:
    labels, sources = book.of(row["chip_id"])
    longitude = latitude = country = None
    if row["geometry"]:
        centre = shapely.centroid(shapely.from_wkb(row["geometry"]))
        longitude, latitude = round(float(centre.x), 6), round(float(centre.y), 6)
        country = country_at(longitude, latitude)
    side = None
    if row["transform"] and row["width"] == row["height"]:
        side = abs(float(row["transform"][0])) * int(row["width"])
    return ChipFacts(
        row["chip_id"],
        book.sensor,
        labels,
        sources,
        platform=row["platform"] or "",
        taken=row["datetime"],
        longitude=longitude,
        latitude=latitude,
        country=country,
        side=side,
        pixels=statistics(book.sensor, row["pixels"], what) if row.get("pixels") else {},
    )


def statistics(sensor: str, content: bytes, what: str) -> Statistics:
    """What the pixels of a chip say.

    Args:
        sensor: name of the sensor.
        content: its GeoTIFF.
        what: it is called, for the message.

    Raises:
        DamagedFileError: it cannot be read.
    """
    try:
        raster = geotiff.decode(content, what=what)
    except RasterioError as error:
        raise DamagedFileError(
            f"{what}: its pixels are not a readable GeoTIFF ({error}); rebuild stage `chips`"
        ) from error
    planes = {band or "": plane for band, plane in zip(raster.bands, raster.pixels, strict=True)}
    return measure(planes, SENSORS[sensor])
