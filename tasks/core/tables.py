"""Tables on disk: Parquet with the same bytes for the same rows, written whole or not at all."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core.errors import DamagedFileError, SceneError
from tasks.core.lean_arrow import leave_pandas_out
from tasks.core.stage import atomic, require

if TYPE_CHECKING:  # polars is a fifth of a stage's start, and half of the stages have no frame
    import polars as pl

leave_pandas_out()
SCANNED = 1 << 16
"""Rows that a query has in memory at a time."""
PACKED: dict[bytes | str, bytes | str] = {"packed": "yes"}
"""Metadata of a field whose values are compressed already: Parquet takes them as they are."""


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
        pq.ParquetWriter(partial, schema, write_page_checksum=True, **options(schema)) as writer,
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
        pq.write_table(table, partial, row_group_size=group, write_page_checksum=True, **options(table.schema))


def options(schema: pa.Schema) -> dict[str, Any]:
    """How Parquet holds the columns of a schema, as `pq.ParquetWriter` takes it: ZSTD, but for what is `PACKED`."""
    packed = {field.name for field in schema if field.metadata and b"packed" in field.metadata}
    if not packed:
        return {"compression": "zstd", "compression_level": 3}
    leaves = {leaf: field.name in packed for field in schema for leaf in _leaves(field.name, field.type)}
    loose = [leaf for leaf, done in leaves.items() if not done]
    # Such a row is large and its row group has few of them: bounds of every column would be as long as the values.
    return {
        "compression": {leaf: "NONE" if done else "zstd" for leaf, done in leaves.items()},
        "compression_level": dict.fromkeys(loose, 3),
        "use_dictionary": loose,
        "write_statistics": False,
    }


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    """Paths of the columns that Parquet keeps of one of Arrow's."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    else:
        yield path


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
    with atomic(path) as partial, pq.ParquetWriter(partial, schema, **options(schema)) as writer:

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


@contextmanager
def table_writer(schema: pa.Schema, path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """The same of a function that adds the rows of a table."""
    with atomic(path) as partial, pq.ParquetWriter(partial, schema, **options(schema)) as writer:
        yield lambda table: writer.write_table(table.cast(schema), row_group_size=16_384)


def mapped(path: Path, into: Path) -> pa.Table:
    """A table whose rows are read from disk one by one as they are asked for, and take no memory of the process.

    Parquet cannot be read by the row: it is written once, uncompressed, as an Arrow file.

    Args:
        path: the Parquet file.
        into: the Arrow file; one that is there is taken as it is.
    """
    _write_arrow(path, into)
    return pa.ipc.open_file(pa.memory_map(str(into))).read_all()


def batches(path: Path, into: Path, rows: int) -> pa.ipc.RecordBatchFileReader:
    """A table of which some `rows` are read at once, into memory that is given back: nothing of it stays mapped.

    Args:
        path: the Parquet file.
        into: the Arrow file; one that is there is taken as it is.
        rows: of a batch, at most.
    """
    _write_arrow(path, into, rows)
    return pa.ipc.open_file(pa.OSFile(str(into)))


def _write_arrow(path: Path, into: Path, rows: int = 65_536) -> None:
    if into.is_file():
        return
    with (
        pq.ParquetFile(require(path)) as source,
        atomic(into) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, source.schema_arrow) as writer,
    ):
        for batch in source.iter_batches(rows):
            writer.write_batch(batch)


def read(path: Path, columns: Sequence[str] | None = None, dictionaries: Sequence[str] = ()) -> pa.Table:
    """Read a table of an earlier stage; a folder is read as all its `*.parquet` in order of name.

    Args:
        path: of the table.
        columns: that are read; None: all.
        dictionaries: columns of texts that recur, of which each is held once.
    """
    require(path)
    with whole(path):
        return pq.read_table(
            path,
            columns=list(columns) if columns else None,
            page_checksum_verification=True,
            read_dictionary=list(dictionaries) or None,
        )


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


def read_frame(path: Path) -> "pl.DataFrame":
    """Read a table of an earlier stage as a polars frame."""
    import polars as pl

    return pl.DataFrame(pl.from_arrow(read(path)))


def read_shards(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The chips of one folder, all shards in order."""
    shards = sorted(require(folder).glob("shard-*.parquet"))
    tables = [read(shard, columns) for shard in shards]
    return pa.concat_tables(tables) if tables else pa.table({})


def scan(paths: Sequence[Path], columns: Sequence[str] | None = None) -> "pl.LazyFrame":
    """Tables of one form, one after the other, as a query of polars: a row group of the columns that it asks for is in
    memory at a time, and every page is held against its checksum, which polars' own reader does not do.

    Args:
        paths: of the tables, at least one.
        columns: that may be asked for; `turns.list.element.question` is one field of a nested one. None: all.

    Raises:
        MissingInputError: one is not there.
        DamagedFileError: when the query runs, one does not hold what was written to it.
    """
    import polars as pl
    from polars.io.plugins import register_io_source

    for path in paths:
        require(path)
    with whole(paths[0]), pq.ParquetFile(paths[0]) as file:
        names = list(columns or file.schema_arrow.names)
        empty = pl.DataFrame(pl.from_arrow(file.read_row_groups([], columns=names)))

    def read_batches(
        wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        chosen = names if wanted is None else [name for name in names if name.partition(".")[0] in wanted]
        left = rows
        for path in paths:
            with whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
                for batch in file.iter_batches(size or SCANNED, columns=chosen):
                    frame = pl.DataFrame(pl.from_arrow(batch)).select(wanted or empty.columns)
                    frame = frame if left is None else frame.head(left)
                    left = None if left is None else left - len(frame)
                    yield frame if predicate is None else frame.filter(predicate)

    return register_io_source(read_batches, schema=empty.schema, is_pure=True)


def picked(path: Path, rows: Sequence[int] | NDArray[np.int64], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some rows of a table, of which only the row groups that hold one are read, one of them in memory at a time.

    Args:
        path: of the table.
        rows: their numbers, rising.
        columns: that are wanted.

    Raises:
        DamagedFileError: the file does not hold what was written to it.
    """
    with whole(path), pq.ParquetFile(require(path), page_checksum_verification=True) as file:
        first, wanted = 0, np.asarray(rows, np.int64)
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            here = wanted[(wanted >= first) & (wanted < end)] - first
            if len(here):
                yield file.read_row_group(group, columns=list(columns)).take(pa.array(here))
            first = end


def footer(path: Path) -> bytes:
    """What a Parquet file says of itself at its end: schema, and place, size and bounds of every column chunk.

    Raises:
        DamagedFileError: it does not end as Parquet does.
    """
    with require(path).open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 8))
        length, mark = int.from_bytes(file.read(4), "little"), file.read(4)
        with whole(path):
            if mark != b"PAR1" or length + 12 > end:
                raise pa.ArrowInvalid("it does not end with a footer of Parquet")
        file.seek(end - 8 - length)
        return file.read(length)


def is_whole(path: Path) -> bool:
    """Whether a Parquet file was written to its end: the footer is there and every row group lies before it."""
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(metadata.num_row_groups >= 0)
