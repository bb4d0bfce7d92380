"""The facts of the chips of one part: labels, what their sources can tell, metadata, and what the pixels say.

Chips come in the order of their shards, one row group in memory at a time; labels are looked up on disk.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from tasks.core import paths, tables
from tasks.core.stage import read_json, require
from tasks.dialogue.facts import ChipFacts, Label, SourceInfo, Statistics
from tasks.earth.chip_measures import measure, needed
from tasks.earth.chip_planes import planes_of
from tasks.earth.countries import countries_at
from tasks.earth.sensors import SENSORS

ROWS, BATCHES = 4096, 32
"""Rows of a table of labels that are read together, and how many times as many are kept, some 60 MB."""
WITH_PIXELS, WITHOUT = 64, 4096
"""Chips that are read together."""
METADATA = ("chip_id", "platform", "datetime", "transform", "width", "height", "geometry")


class ByChip:
    """Rows of a table that is sorted by chip, read from disk as they are asked for, a few batches in memory."""

    def __init__(self, path: Path, into: Path) -> None:
        """Of a Parquet file; `into` is the Arrow file that rows are read from."""
        self._batches = tables.batches(path, into, ROWS)
        self._batch = lru_cache(maxsize=BATCHES)(self._read_batch)
        names = self._batches.schema.get_field_index("chip_id")
        alone = pa.ipc.open_file(pa.OSFile(str(into)), options=pa.ipc.IpcReadOptions(included_fields=[names]))
        self._heads = [alone.get_batch(number)[0][0].as_py() for number in range(alone.num_record_batches)]

    def rows(self, chip_ids: Sequence[str]) -> list[list[dict[str, Any]]]:
        """All rows of each chip."""
        places: dict[int, list[tuple[int, int, int]]] = {}  # batch -> chips in it, with their rows
        for chip, chip_id in enumerate(chip_ids):
            first = max(0, bisect_left(self._heads, chip_id) - 1)
            for number in range(first, bisect_right(self._heads, chip_id)):
                names = self._batch(number)[0]
                start, stop = bisect_left(names, chip_id), bisect_right(names, chip_id)
                if start < stop:
                    places.setdefault(number, []).append((chip, start, stop))
        out: list[list[dict[str, Any]]] = [[] for _ in chip_ids]
        for number in sorted(places):
            wanted = np.concatenate([np.arange(start, stop) for _, start, stop in places[number]])
            found = iter(self._batch(number)[1].take(pa.array(wanted)).to_pylist())
            for chip, start, stop in places[number]:
                out[chip] += islice(found, stop - start)
        return out

    def _read_batch(self, number: int) -> tuple[list[str], pa.RecordBatch]:
        batch = self._batches.get_batch(number)
        return batch["chip_id"].to_pylist(), batch


@dataclass(frozen=True)
class LabelBook:
    """What the stage `labels` left of one part of a sensor."""

    sensor: str
    labels: ByChip
    complete: ByChip
    sources: Mapping[str, SourceInfo]
    """Whether one is complete is known of each chip."""

    def of(self, chip_ids: Sequence[str]) -> list[tuple[tuple[Label, ...], dict[str, SourceInfo]]]:
        """Labels of each chip, and the sources that describe it."""
        found = zip(self.labels.rows(chip_ids), self.complete.rows(chip_ids), strict=True)
        return [self._known(labels, complete) for labels, complete in found]

    def _known(
        self, rows: Sequence[Mapping[str, Any]], complete: Sequence[Mapping[str, Any]]
    ) -> tuple[tuple[Label, ...], dict[str, SourceInfo]]:
        labels = tuple(_label(row) for row in rows)
        sources = {label.source: self.sources[label.source] for label in labels}
        for row in complete:
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
            for batch in file.iter_batches(WITH_PIXELS if pixels else WITHOUT, columns=columns):
                if wanted is not None:
                    batch = batch.filter(pa.array([wanted(chip_id) for chip_id in batch["chip_id"].to_pylist()]))
                yield from _facts(book, batch, shard)


def count_chips(sensor: str, part: str) -> int:
    """How many chips a part has."""
    shards = sorted(require(paths.chips(sensor, part)).glob("shard-*.parquet"))
    total = 0
    for shard in shards:
        with tables.whole(shard):
            total += pq.read_metadata(shard).num_rows
    return total


def _facts(book: LabelBook, batch: pa.RecordBatch, shard: Path) -> Iterator[ChipFacts]:
    """Facts of some chips of one shard; what is asked of a table or a map is asked for all of them together."""
    known = book.of(batch["chip_id"].to_pylist())
    centres = shapely.centroid(shapely.from_wkb(batch["geometry"].to_pylist()))
    placed = np.flatnonzero(~shapely.is_missing(centres))
    longitude, latitude = shapely.get_x(centres).round(6), shapely.get_y(centres).round(6)
    countries = dict(zip(placed.tolist(), countries_at(longitude[placed], latitude[placed]), strict=True))
    for number, (row, (labels, sources)) in enumerate(zip(batch.to_pylist(), known, strict=True)):
        side = None
        if row["transform"] and row["width"] == row["height"]:
            side = abs(float(row["transform"][0])) * int(row["width"])
        what = f"chip {row['chip_id']} in {shard}"
        yield ChipFacts(
            row["chip_id"],
            book.sensor,
            labels,
            sources,
            platform=row["platform"] or "",
            taken=row["datetime"],
            longitude=float(longitude[number]) if number in countries else None,
            latitude=float(latitude[number]) if number in countries else None,
            country=countries.get(number),
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
    return measure(planes_of(content, what, needed(SENSORS[sensor])), SENSORS[sensor])
