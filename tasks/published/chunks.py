"""Import in chunks: a range of rows of one source file makes one shard of chips, one of conversations, one of rejects.

A chunk depends on its rows alone and is written whole; its record comes last, so that a killed import goes on after
the last whole chunk, and the same source gives the same bytes.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core import tables
from tasks.core.arrow_shards import read_rows
from tasks.core.code import code
from tasks.core.stage import fingerprint, write_json
from tasks.earth import chip_schema as chip_table
from tasks.earth.sensors import Sensor
from tasks.published.arrow_files import ArrowShard
from tasks.published.band_statistics import BandStatistics, add_image
from tasks.published.our_rows import CONVERSATIONS
from tasks.published.repairs import Notes, RowError
from tasks.published.rows import REJECTS, Converted, Converter

CHUNK_BYTES = 64 * 2**20
"""Source bytes of a chunk, about: what is held in memory at once."""
MAX_ROWS = 1024
RECORDS = ".chunks"
"""Folder of the records of finished chunks, inside a data set's folder."""


@dataclass(frozen=True)
class Chunk:
    """Rows `start` up to `stop` of one source file."""

    shard: ArrowShard
    start: int
    stop: int
    number: int

    @property
    def name(self) -> str:
        """Number of the source file, number of the chunk within it."""
        return f"{self.shard.number:05d}-{self.number:04d}"

    def outputs(self, folder: Path) -> dict[str, Path]:
        """Its tables by what they hold."""
        return {
            "chips": folder / "chips" / f"shard-{self.name}.parquet",
            "conversations": folder / "conversations" / f"part-{self.name}.parquet",
            "rejects": folder / "rejects" / f"part-{self.name}.parquet",
        }


@dataclass
class ImportCounts:
    """What became of some rows: how many, and why not the others."""

    rows: int = 0
    kept: int = 0
    pairs: int = 0
    chips: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)
    statistics: BandStatistics = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it, counters ordered by name."""
        counters = ("repaired", "rejected", "flagged")
        return vars(self) | {name: dict(sorted(vars(self)[name].items())) for name in counters}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ImportCounts":
        """What `as_json` gave."""
        counters = {name: Counter(value[name]) for name in ("repaired", "rejected", "flagged")}
        return cls(**(value | counters))


def plan(shards: list[ArrowShard]) -> list[Chunk]:
    """All chunks of a data set, in order."""
    return [chunk for shard in shards for chunk in _chunks(shard)]


def _chunks(shard: ArrowShard) -> Iterator[Chunk]:
    per_row = shard.path.stat().st_size / max(1, shard.rows)
    step = max(1, min(MAX_ROWS, int(CHUNK_BYTES / per_row)))
    for number, start in enumerate(range(0, shard.rows, step)):
        yield Chunk(shard, start, min(shard.rows, start + step), number)


def identity(chunk: Chunk, converter: Converter, strict: bool) -> str:
    """What a chunk is made from: its source file as it lies there, its rows, the registry, `strict`, this code."""
    stat = chunk.shard.path.stat()
    source = [chunk.shard.path.name, stat.st_size, stat.st_mtime_ns, chunk.start, chunk.stop]
    return fingerprint(
        source, converter.dataset, repr(converter.entry), repr(converter.columns), strict, code(__name__)
    )


def finished(chunk: Chunk, folder: Path, made_from: str) -> ImportCounts | None:
    """The counts of a chunk that is already there, made from the same source; None if it is not."""
    record = folder / RECORDS / f"{chunk.name}.json"
    if not record.is_file():
        return None
    value = json.loads(record.read_text())
    whole = all(path.is_file() for path in chunk.outputs(folder).values())
    return ImportCounts.from_json(value["counts"]) if value["made_from"] == made_from and whole else None


class ChunkRows:
    """The rows of one chunk while it is made: kept ones, refused ones, and their counts."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._counts = ImportCounts()
        self._chips: list[dict[str, Any]] = []
        self._talks: list[dict[str, Any]] = []
        self._rejects: list[dict[str, Any]] = []

    def keep(self, converted: Converted, notes: Notes) -> None:
        """Take in a conversation and those of its chips that are new in this chunk, with what was done to its row."""
        self._chips += converted.chips
        self._talks.append(converted.conversation)
        self._counts.repaired.update(notes.repairs)
        self._counts.flagged.update(notes.flags)
        for image in converted.images:
            add_image(self._counts.statistics, image, self._sensor)

    def refuse(self, position: int, source: str, key: Any, error: RowError) -> None:
        """Take in a row that is not used: its number in the file `source`, its own name if it has one, and why."""
        self._counts.rejected[error.reason] += 1
        # Others wrote these texts: half a surrogate pair is no text that a table can hold.
        named, detail = (
            text.encode("utf-8", "backslashreplace").decode() for text in ("" if key is None else str(key), str(error))
        )
        self._rejects.append({"row": position, "shard": source, "key": named, "reason": error.reason, "detail": detail})

    def write(self, chunk: Chunk, folder: Path, made_from: str) -> ImportCounts:
        """Write the tables of the chunk and then its record; returns what became of its rows."""
        counts, outputs = self._counts, chunk.outputs(folder)
        counts.kept, counts.chips = len(self._talks), len(self._chips)
        counts.rows = counts.kept + len(self._rejects)
        counts.pairs = sum(len(talk["turns"]) for talk in self._talks)
        tables.write_rows(self._chips, chip_table.SCHEMA, outputs["chips"], group=chip_table.GROUP)
        tables.write_rows(self._talks, CONVERSATIONS, outputs["conversations"])
        tables.write_rows(self._rejects, REJECTS, outputs["rejects"])
        write_json(folder / RECORDS / f"{chunk.name}.json", {"made_from": made_from, "counts": counts.as_json()})
        return counts


def make(chunk: Chunk, converter: Converter, folder: Path, strict: bool, made_from: str) -> ImportCounts:
    """Import the rows of one chunk.

    Raises:
        ShardError: the source file is damaged within the chunk.
    """
    filled = ChunkRows(converter.sensor)
    position = chunk.start
    for batch in read_rows(chunk.shard.path, chunk.start, chunk.stop, converter.columns.all):
        for cells in zip(*batch.columns, strict=True):
            row = dict(zip(batch.schema.names, cells, strict=True))
            notes = Notes(strict)
            name = f"{converter.dataset}-{chunk.shard.number:05d}-{position:07d}"
            source = f"{chunk.shard.path.name}#{position}"
            try:
                converted = converter.convert(row, name, source, notes)
            except RowError as error:
                key = row[converter.columns.key].as_py() if converter.columns.key else None
                filled.refuse(position, chunk.shard.path.name, key, error)
            else:
                filled.keep(converted, notes)
            position += 1
    return filled.write(chunk, folder, made_from)


def remove_stale(folder: Path, chunks: list[Chunk]) -> None:
    """Remove the chunks of an earlier import that the source does not have any more."""
    wanted = {path for chunk in chunks for path in chunk.outputs(folder).values()}
    for kind in ("chips", "conversations", "rejects"):
        for path in (folder / kind).glob("*.parquet"):
            if path not in wanted:
                path.unlink()
