"""Rows of a source file, one after the other, whatever its size: what a chunk is filled from.

A row is handed on as it stands, so that what is wrong with it refuses that row alone.
"""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.published.arrow_files import SourceError
from tasks.published.own import json_records
from tasks.published.own.json_records import MAX_RECORD, parse
from tasks.published.repairs import Notes, RowError

JSON_FILES, TABLES = (".json", ".jsonl", ".ndjson"), (".parquet", ".csv")
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class SourceRow:
    """One row as it stands: its number in its file, and what opens it."""

    position: int
    digest: bytes
    """Of its bytes or its cells: rows of the same digest say the same."""
    size: int
    """Bytes, about."""
    open: Callable[[Notes], dict[str, Any]]
    """The fields of the row; raises `RowError` where there are none."""


def read_rows(path: Path, under: str = "") -> Iterator[SourceRow]:
    """The rows of a JSON array, of JSON lines, of a Parquet file or of a CSV file with a heading.

    Args:
        path: of the file.
        under: see `json_records.read_records`.

    Raises:
        SourceError: the file cannot be read on from here; rows before it have been given.
    """
    try:
        match path.suffix.lower():
            case ".parquet":
                yield from _parquet(path)
            case ".csv":
                yield from _csv(path)
            case _:
                for position, content in enumerate(json_records.read_records(path, under=under)):
                    yield _record(position, content)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror or error}") from error


def _record(position: int, content: bytes | None) -> SourceRow:
    if content is None:

        def refuse(_: Notes) -> dict[str, Any]:
            raise RowError("too-large", f"the record has more than {MAX_RECORD:,} bytes")

        return SourceRow(position, b"", 0, refuse)
    return SourceRow(position, _digest(content), len(content), lambda notes: parse(content, notes))


def _parquet(path: Path) -> Iterator[SourceRow]:
    position = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                for row in batch.to_pylist():
                    yield _cells(position, row)
                    position += 1
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceError(f"is damaged after row {position} ({first}): download it again") from error


def _csv(path: Path) -> Iterator[SourceRow]:
    # Bytes that are no UTF-8 become half surrogates, which refuse their row when it is opened.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        try:
            for position, row in enumerate(csv.DictReader(file, strict=True)):
                yield _cells(position, row)
        except csv.Error as error:
            raise SourceError(f"is no CSV: {error}") from error


def _cells(position: int, row: dict[Any, Any]) -> SourceRow:
    text = json.dumps(list(row.items()), default=str)

    def fields(_: Notes) -> dict[str, Any]:
        if None in row:
            raise RowError("wrong-type", f"the row has {len(row[None])} cells more than the heading")
        if any(isinstance(value, str) and SURROGATE.search(value) for value in row.values()):
            raise RowError("not-text", "a cell holds bytes that are no UTF-8")
        return row

    return SourceRow(position, _digest(text.encode()), len(text), fields)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
