"""Import in pieces: a range of rows of one source file makes one shard of chips, one of conversations, one of rejects.

A piece depends on its rows alone and is written whole; its record comes last, so that a killed import goes on after
the last whole piece, and the same source gives the same bytes.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.core import tables
from tasks.core.arrow_shards import read_rows
from tasks.core.code import code
from tasks.core.stage import fingerprint, write_json
from tasks.earth import chip_schema as chip_table
from tasks.published.arrow_files import Shard
from tasks.published.band_statistics import Moments, add_image
from tasks.published.repairs import Notes, RowError
from tasks.published.rows import CONVERSATIONS, REJECTS, Converter

PIECE_BYTES = 64 * 2**20
"""Source bytes of a piece, about: what is held in memory at once."""
MOST_ROWS = 1024
RECORDS = ".pieces"
"""Folder of the records of finished pieces, inside a data set's folder."""


@dataclass(frozen=True)
class Piece:
    """Rows `start` up to `stop` of one source file."""

    shard: Shard
    start: int
    stop: int
    number: int

    @property
    def name(self) -> str:
        """Number of the source file, number of the piece within it."""
        return f"{self.shard.number:05d}-{self.number:04d}"

    def outputs(self, folder: Path) -> dict[str, Path]:
        """Its tables by what they hold."""
        return {
            "chips": folder / "chips" / f"shard-{self.name}.parquet",
            "conversations": folder / "conversations" / f"part-{self.name}.parquet",
            "rejects": folder / "rejects" / f"part-{self.name}.parquet",
        }


@dataclass
class Tally:
    """What became of some rows."""

    rows: int = 0
    kept: int = 0
    pairs: int = 0
    chips: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)
    moments: Moments = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values, counters ordered by name."""
        counters = ("repaired", "rejected", "flagged")
        return vars(self) | {name: dict(sorted(vars(self)[name].items())) for name in counters}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Tally":
        """What `as_json` gave."""
        counters = {name: Counter(value[name]) for name in ("repaired", "rejected", "flagged")}
        return cls(**(value | counters))


def plan(shards: list[Shard]) -> list[Piece]:
    """All pieces of a data set, in order."""
    return [piece for shard in shards for piece in _pieces(shard)]


def _pieces(shard: Shard) -> Iterator[Piece]:
    per_row = shard.path.stat().st_size / max(1, shard.rows)
    step = max(1, min(MOST_ROWS, int(PIECE_BYTES / per_row)))
    for number, start in enumerate(range(0, shard.rows, step)):
        yield Piece(shard, start, min(shard.rows, start + step), number)


def identity(piece: Piece, converter: Converter, strict: bool) -> str:
    """What a piece is made from: its source file as it lies there, its rows, the registry, the policy, this code."""
    stat = piece.shard.path.stat()
    source = [piece.shard.path.name, stat.st_size, stat.st_mtime_ns, piece.start, piece.stop]
    return fingerprint(
        source, converter.dataset, repr(converter.entry), repr(converter.columns), strict, code(__name__)
    )


def finished(piece: Piece, folder: Path, made_from: str) -> Tally | None:
    """The tally of a piece that is already there, made from the same source; None if it is not."""
    record = folder / RECORDS / f"{piece.name}.json"
    if not record.is_file():
        return None
    value = json.loads(record.read_text())
    whole = all(path.is_file() for path in piece.outputs(folder).values())
    return Tally.from_json(value["tally"]) if value["made_from"] == made_from and whole else None


def make(piece: Piece, converter: Converter, folder: Path, strict: bool, made_from: str) -> Tally:
    """Import the rows of one piece.

    Raises:
        ShardError: the source file is damaged within the piece.
    """
    tally = Tally()
    chips: list[dict[str, Any]] = []
    talks: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    position = piece.start
    for batch in read_rows(piece.shard.path, piece.start, piece.stop, converter.columns.all):
        for cells in zip(*batch.columns, strict=True):
            row = dict(zip(batch.schema.names, cells, strict=True))
            notes = Notes(strict)
            name = f"{converter.dataset}-{piece.shard.number:05d}-{position:07d}"
            source = f"{piece.shard.path.name}#{position}"
            try:
                converted = converter.convert(row, name, source, notes)
            except RowError as error:
                rejects.append(_reject(row, converter, position, piece.shard.path.name, error))
                tally.rejected[error.reason] += 1
            else:
                chips += converted.chips
                talks.append(converted.conversation)
                tally.repaired.update(notes.repairs)
                tally.flagged.update(notes.flags)
                for image in converted.images:
                    add_image(tally.moments, image, converter.sensor)
            position += 1
    tally.rows, tally.kept, tally.chips = position - piece.start, len(talks), len(chips)
    tally.pairs = sum(len(talk["turns"]) for talk in talks)
    outputs = piece.outputs(folder)
    tables.write_rows(chips, chip_table.SCHEMA, outputs["chips"], group=chip_table.GROUP)
    tables.write_rows(talks, CONVERSATIONS, outputs["conversations"])
    tables.write_rows(rejects, REJECTS, outputs["rejects"])
    write_json(folder / RECORDS / f"{piece.name}.json", {"made_from": made_from, "tally": tally.as_json()})
    return tally


def _reject(
    row: dict[str, pa.Scalar], converter: Converter, position: int, shard: str, error: RowError
) -> dict[str, Any]:
    key = row[converter.columns.key].as_py() if converter.columns.key else None
    return {
        "row": position,
        "shard": shard,
        "key": "" if key is None else str(key),
        "reason": error.reason,
        "detail": str(error),
    }


def remove_stale(folder: Path, pieces: list[Piece]) -> None:
    """Remove the pieces of an earlier import that the source does not have any more."""
    wanted = {path for piece in pieces for path in piece.outputs(folder).values()}
    for kind in ("chips", "conversations", "rejects"):
        for path in (folder / kind).glob("*.parquet"):
            if path not in wanted:
                path.unlink()
