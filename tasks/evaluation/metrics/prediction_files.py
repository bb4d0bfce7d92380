"""From a file of predictions to a frame of texts: JSON lines, a JSON array or Parquet.

Numbers keep the spelling they have in the file: a class called 3 must not become 3.0.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.errors import PredictionsError
from tasks.core.json_lines import read_json_lines

FORMATS = "a file is JSON lines or one JSON array of objects, in UTF-8, or Parquet (.parquet, .pq)"
CONFIDENCES = ("confidence", "confidences")


def read_frame(path: Path) -> pl.DataFrame:
    """The rows of a file as text, every column in the order of the file.

    Raises:
        PredictionsError: it is empty, or none of `FORMATS`; says where.
    """
    try:
        if path.suffix in (".parquet", ".pq"):
            return _as_text(pl.read_parquet(path))
        with path.open("rb") as file:
            head = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
        if not head:
            raise PredictionsError(f"{path} is empty")
        if not head.startswith(b"["):
            try:
                frame = pl.read_ndjson(path, infer_schema_length=None)
            except (pl.exceptions.PolarsError, RuntimeError):
                frame = None  # read line by line, which says where it is wrong
            if frame is not None and not any(_has_floats(*column) for column in frame.schema.items()):
                return _as_text(frame)
        if head.startswith(b"["):
            return _from_rows(_array(path))
        return _from_rows(row for _, row in read_json_lines(path, PredictionsError, FORMATS))
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise PredictionsError(f"{path} cannot be read: {error}; {FORMATS}") from error


def _array(path: Path) -> Iterator[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise PredictionsError(f"{path} is not JSON: {error}; {FORMATS}") from error
    return (_object(row, f"{path}, row {number}") for number, row in enumerate(rows, start=1))


def _object(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise PredictionsError(f"{where} is not an object of fields, but {type(row).__name__}")
    return row


def _from_rows(rows: Iterator[dict[str, Any]]) -> pl.DataFrame:
    texts = [{name: _text(value) for name, value in row.items()} for row in rows]
    names = list(dict.fromkeys(name for row in texts for name in row))
    columns = {name: [row.get(name) for row in texts] for name in names}
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))


def _text(value: Any) -> str | None:
    """A value of JSON as text; null, NaN, and bytes that are no text (an image beside its question) are nothing."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _has_floats(name: str, kind: Any) -> bool:
    """Whether a column other than confidences has fractions: polars makes a 3 beside a 2.5 a 3.0."""
    if isinstance(kind, pl.List | pl.Array):
        return _has_floats(name, kind.inner)
    return name not in CONFIDENCES and (kind.is_float() or isinstance(kind, pl.Struct))


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    nested = [name for name, kind in frame.schema.items() if kind.is_nested() or kind in (pl.Object, pl.Binary)]
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    flat = frame.with_columns(pl.col(floats).fill_nan(None)).with_columns(pl.exclude(nested).cast(pl.String))
    texts = [pl.Series(name, [_text(value) for value in frame[name].to_list()], dtype=pl.String) for name in nested]
    return flat.with_columns(texts)
