"""Tables of text: csv, tsv, and what spreadsheets make of them."""

import csv
import io
from pathlib import Path

from tasks.core.errors import PredictionsError

DELIMITERS = "\t,;|"
MAX_CELL = 2**31 - 1
"""Characters of a cell: VLMEvalKit's tables have whole images in theirs."""


def columns(text: str, path: Path, advice: str) -> dict[str, list[str | None]]:
    """Each column by the name in the header; an empty cell is nothing.

    The delimiter is the one of tab, comma, semicolon and bar that parts the header into most names; a line `sep=;`
    before it, as Excel has it, decides. Quoted cells may hold line ends.

    Args:
        text: of the whole file.
        path: named in errors.
        advice: what is read, for people.

    Raises:
        PredictionsError: no delimiter parts the header, a name stands twice, or a line has another number of cells.
    """
    mark = ""
    if text[:4].lower() == "sep=" and text[5:6] in ("\r", "\n"):
        mark, text = text[4], text[5:].lstrip("\r\n")
    csv.field_size_limit(MAX_CELL)
    header = _first(text, mark or _delimiter(text, path), path)
    if len(header) < 2:
        raise PredictionsError(
            f"{path}: its first line {header[0][:60]!r} is no header of several fields parted by tab, comma or "
            f"semicolon; {advice}"
        )
    names = [name.strip() or f"(column {number})" for number, name in enumerate(header, start=1)]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise PredictionsError(f"{path}: field '{doubled[0]}' stands twice in the header; name each once")
    cells: dict[str, list[str | None]] = {name: [] for name in names}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark or _delimiter(text, path), strict=True)
    try:
        next(reader)
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise PredictionsError(
                    f"{path}, line {reader.line_num} has {len(row)} cells, its header {len(names)}: quote a cell "
                    "that holds the delimiter or a line end"
                )
            for name, cell in zip(names, row, strict=True):
                cells[name].append(cell or None)
    except csv.Error as error:
        raise PredictionsError(f"{path}, line {reader.line_num} is not csv: {error}; {advice}") from error
    return cells


def _delimiter(text: str, path: Path) -> str:
    if path.name.lower().removesuffix(".gz").endswith(".tsv") and "\t" in text.partition("\n")[0]:
        return "\t"
    return max(DELIMITERS, key=lambda mark: len(_first(text, mark, path)))


def _first(text: str, mark: str, path: Path) -> list[str]:
    try:
        return next(iter(csv.reader(io.StringIO(text, newline=""), delimiter=mark)), [""]) or [""]
    except csv.Error as error:
        raise PredictionsError(f"{path}, line 1 is not csv: {error}") from error
