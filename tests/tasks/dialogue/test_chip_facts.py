"""Labels of chips, looked up on disk."""

from pathlib import Path

import polars as pl
import pytest

from tasks.dialogue import chip_facts
from tasks.dialogue.chip_facts import ByChip


@pytest.mark.parametrize("size", [1, 3, 4096], ids=["a row", "three rows", "all rows"])
def test_rows_of_a_chip_are_found_in_whichever_batches_they_lie(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chip_facts, "ROWS", size)
    monkeypatch.setattr(chip_facts, "BATCHES", 2)
    names = ["b", "b", "b", "b", "c", "e", "e", "f", "h", "h"]
    pl.DataFrame({"chip_id": names, "number": range(10)}).write_parquet(tmp_path / "labels.parquet")
    book = ByChip(tmp_path / "labels.parquet", tmp_path / "labels.arrow")
    found = book.rows(["h", "a", "b", "d", "e", "i", "b"])
    assert [[row["number"] for row in rows] for rows in found] == [
        [8, 9],
        [],
        [0, 1, 2, 3],
        [],
        [5, 6],
        [],
        [0, 1, 2, 3],
    ]
    assert book.rows([]) == []


def test_a_table_of_labels_without_a_row_gives_no_label(tmp_path: Path) -> None:
    pl.DataFrame({"chip_id": []}, schema={"chip_id": pl.String}).write_parquet(tmp_path / "labels.parquet")
    assert ByChip(tmp_path / "labels.parquet", tmp_path / "labels.arrow").rows(["a"]) == [[]]
