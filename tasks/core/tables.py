"""Tables on disk: Parquet with the same bytes for the same rows, written whole or not at all."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.errors import DamagedFileError, SceneError
from tasks.core.stage import atomic, require


def rejection_schema(*where: str | pa.Field) -> pa.Schema:
    """The columns kept for everything that could not be used: `where` it stands, a code to group by, and a sentence.

    Args:
        where: columns that name the item; texts, unless a field says otherwise.
    """
    named = [pa.field(column, pa.string()) if isinstance(column, str) else column for column in where]
    return pa.schema([*named, pa.field("reason", pa.string()), pa.field("detail", pa.string())])


QUARANTINE = rejection_schema("sensor", "item_id", "asset")
"""One row for each scene or asset that could not be used."""


def quarantine_row(sensor: str, item_id: str, error: SceneError) -> dict[str, str]:
    """The row that says why a scene could not be used."""
    return {"sensor": sensor, "item_id": item_id, "asset": "", "reason": error.reason, "detail": str(error)}


def _geo(schema: pa.Schema, geometry: str | None) -> pa.Schema:
    """A schema that says it is GeoParquet 1.1's, where it has a geometry."""
    if not geometry:
        return schema
    column = {"encoding": "WKB", "geometry_types": ["Polygon"]}
    geo = {"version": "1.1.0", "primary_column": geometry, "columns": {geometry: column}}
    return schema.with_metadata({**(schema.metadata or {}), b"geo": json.dumps(geo).encode()})


def write_groups(groups: Iterable[pa.Table], schema: pa.Schema, path: Path, geometry: str | None = None) -> int:
    """Write tables as they come, each as one row group, as `write` writes them; returns the number of rows."""
    written, schema = 0, _geo(schema, geometry)
    with (
        atomic(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", compression_level=3, write_page_checksum=True) as writer,
    ):
        for group in groups:
            writer.write_table(group.cast(schema), row_group_size=max(group.num_rows, 1))
            written += group.num_rows
    return written


def write(table: pa.Table, path: Path, geometry: str | None = None, group: int | None = None) -> None:
    """Write a table; `geometry` names a WKB column in lon/lat, which makes the file GeoParquet 1.1.

    `group` is the number of rows of a row group: what must be read to have one of them.
    """
    table = table.cast(_geo(table.schema, geometry))
    with atomic(path) as partial:
        pq.write_table(
            table, partial, compression="zstd", compression_level=3, row_group_size=group, write_page_checksum=True
        )


def write_rows(
    rows: Sequence[Mapping[str, Any]],
    schema: pa.Schema,
    path: Path,
    geometry: str | None = None,
    group: int | None = None,
) -> None:
    """Write dictionaries as a table of `schema`, also when there are none; see `write`."""
    write(pa.Table.from_pylist(list(rows), schema=schema), path, geometry, group)


def write_stream(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, path: Path, chunk: int = 16_384) -> int:
    """Write dictionaries as they come, in row groups of `chunk` rows: a table of any size, with one chunk in memory.

    Returns:
        The number of rows.
    """
    written = 0
    with row_writer(schema, path, chunk) as add:
        for row in rows:
            add(row)
            written += 1
    return written


@contextmanager
def row_writer(schema: pa.Schema, path: Path, chunk: int = 16_384) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that adds one row to a table, as `write_stream` writes it: for who fills several tables side by side.

    The table takes the place of `path` only if the block succeeds.
    """
    some: list[Mapping[str, Any]] = []
    with atomic(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd", compression_level=3) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(some, schema=schema))
            some.clear()

        def add(row: Mapping[str, Any]) -> None:
            some.append(row)
            if len(some) >= chunk:
                flush()

        yield add
        if some:
            flush()


def mapped(path: Path, into: Path) -> pa.Table:
    """A table whose rows are read from disk one by one as they are asked for, and take no memory of the process.

    Parquet cannot be read by the row: it is written once, uncompressed, as an Arrow file.

    Args:
        path: the Parquet file.
        into: the Arrow file; one that is there is taken as it is.
    """
    if not into.is_file():
        with (
            pq.ParquetFile(require(path)) as source,
            atomic(into) as partial,
            pa.OSFile(str(partial), "wb") as sink,
            pa.ipc.new_file(sink, source.schema_arrow) as writer,
        ):
            for batch in source.iter_batches():
                writer.write_batch(batch)
    return pa.ipc.open_file(pa.memory_map(str(into))).read_all()


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table of an earlier stage; a folder is read as all its `*.parquet` in order of name."""
    require(path)
    with whole(path):
        return pq.read_table(path, columns=list(columns) if columns else None, page_checksum_verification=True)


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Name a file of the dataset whose bytes are not those that were written, whatever of them is met first.

    Raises:
        DamagedFileError: the file is cut short, or a checksum in it fails.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise DamagedFileError(
            f"{path} does not hold what was written to it ({error}): the file or the disk under it is damaged. "
            "Fetch it again with `dvc pull --force`, or delete it and run `dvc repro`"
        ) from error


def read_frame(path: Path) -> pl.DataFrame:
    """Read a table of an earlier stage as a polars frame."""
    return pl.DataFrame(pl.from_arrow(read(path)))


def read_shards(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The chips of one folder, all shards in order."""
    shards = sorted(require(folder).glob("shard-*.parquet"))
    tables = [read(shard, columns) for shard in shards]
    return pa.concat_tables(tables) if tables else pa.table({})


def is_whole(path: Path) -> bool:
    """Whether a Parquet file was written to its end: the footer is there and every row group lies before it."""
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(metadata.num_row_groups >= 0)
