"""tasks/core/tables.py: what is read of a table is what is asked for, and it is held against its checksums."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core import tables
from tasks.core.errors import DamagedFileError, MissingInputError

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("turns", pa.list_(pa.struct([("question", pa.string()), ("kind", pa.string())]))),
        pa.field("pixels", pa.binary(), metadata=tables.PACKED),
    ]
)
ROWS = [
    {"name": f"chip {n}", "turns": [{"question": "What?" * 50, "kind": f"k{n % 3}"}], "pixels": bytes([n]) * 5000}
    for n in range(12)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Twelve rows in row groups of four."""
    tables.write_rows(ROWS, SCHEMA, tmp_path / "table.parquet", group=4)
    return tmp_path / "table.parquet"


def flip(path: Path, group: int, column: str) -> None:
    """Damage the values of a column in one row group."""
    metadata = pq.read_metadata(path)
    found = [metadata.row_group(group).column(index) for index in range(metadata.num_columns)]
    chunk = next(chunk for chunk in found if chunk.path_in_schema == column)
    content = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start + chunk.total_compressed_size - 2] ^= 4
    path.write_bytes(bytes(content))


def test_packed_bytes_are_stored_as_they_are_and_the_rest_compressed(path: Path) -> None:
    group = pq.read_metadata(path).row_group(1)
    found = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
    assert found["pixels"] == "UNCOMPRESSED"
    assert {kind for name, kind in found.items() if name != "pixels"} == {"ZSTD"}
    assert tables.read(path).to_pylist() == ROWS


def test_rows_are_picked_from_the_row_groups_that_hold_them_and_no_other_is_read(path: Path) -> None:
    flip(path, 1, "pixels")
    found = [row for table in tables.picked(path, [1, 3, 8], ["name", "pixels"]) for row in table.to_pylist()]
    assert found == [{"name": row["name"], "pixels": row["pixels"]} for row in (ROWS[1], ROWS[3], ROWS[8])]
    with pytest.raises(DamagedFileError, match=r"table\.parquet"):
        list(tables.picked(path, [5], ["pixels"]))


def test_a_query_reads_the_columns_it_asks_for_and_names_a_damaged_table(path: Path, tmp_path: Path) -> None:
    flip(path, 2, "pixels")
    asked = tables.scan([path, path], ["name", "turns.list.element.kind"])
    kinds = asked.select(pl.col("turns").explode().struct.field("kind")).group_by("kind").len().sort("kind")
    assert kinds.collect(engine="streaming").rows() == [("k0", 8), ("k1", 8), ("k2", 8)]
    assert tables.scan([path]).filter(pl.col("name") == "chip 7").select("name").collect().height == 1
    with pytest.raises(DamagedFileError, match=r"table\.parquet"):
        tables.scan([path]).select("pixels").collect(engine="streaming")
    with pytest.raises(MissingInputError):
        tables.scan([tmp_path / "none.parquet"])


def test_the_footer_of_a_table_tells_two_tables_apart_and_a_cut_one_is_named(path: Path) -> None:
    first = tables.footer(path)
    tables.write_rows(ROWS[::-1], SCHEMA, path.with_name("other.parquet"), group=4)
    assert first != tables.footer(path.with_name("other.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedFileError, match=r"table\.parquet"):
        tables.footer(path)
