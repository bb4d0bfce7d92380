"""From a file of predictions to a frame of texts, whatever program wrote it.

Numbers keep the spelling they have in the file: a class called 3 must not become 3.0.
"""

import gzip
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics import delimited, json_shapes

FORMATS = (
    "a file is JSON lines, one JSON array of objects, in UTF-8, or Parquet (.parquet, .pq); one JSON object keyed by "
    "id, csv and tsv with a header, and .gz of these are read too"
)
CONFIDENCES = ("confidence", "confidences")
PARQUET = (".parquet", ".pq")
DELIMITED = (".csv", ".tsv", ".txt")
REFUSED = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "a spreadsheet is not read; save it as tsv or csv (UTF-8)"),
    **dict.fromkeys(
        (".pkl", ".pickle", ".pt", ".pth", ".joblib"), "a pickle can run code; save the rows as JSON lines"
    ),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".zst", ".bz2", ".xz"), "unpack it first, or pack it as .gz"),
    **dict.fromkeys((".npy", ".npz"), "an array has no fields; save the rows as JSON lines"),
}
MAX_PACKED = 4 * 2**30
"""Bytes that a .gz may unpack to."""
Rows = list[dict[str, Any]]


def read_frame(path: Path) -> pl.DataFrame:
    """The rows of a file as text, every column in the order of the file; lists and objects are JSON.

    Raises:
        PredictionsError: it is not there, empty, or none of `FORMATS`; says where.
    """
    if not path.exists():
        raise PredictionsError(f"{path} is not there")
    if not path.is_file():
        raise PredictionsError(f"{path} is not a file; {FORMATS}")
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    suffix = name.suffix.lower()
    try:
        if suffix in REFUSED:
            raise PredictionsError(f"{path}: {REFUSED[suffix]}")
        if suffix in PARQUET:
            return _as_text(pl.read_parquet(path))
        content = content_of(path)
        if not content.strip(b"\xef\xbb\xbf \t\r\n"):
            raise PredictionsError(f"{path} is empty")
        if content.startswith(b"PAR1"):
            return _as_text(pl.read_parquet(content))
        start = content[:64].lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1]
        if suffix in DELIMITED and start not in (b"[", b"{"):
            return pl.DataFrame(delimited.columns(text_of(content, path), path, FORMATS), strict=False)
        if start == b"{" and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
            frame = _lines(content)
            if frame is not None:
                return _as_text(frame)
        return from_rows(json_shapes.rows(text_of(content, path), path, FORMATS))
    except (OSError, EOFError, pl.exceptions.PolarsError) as error:
        raise PredictionsError(f"{path} cannot be read: {error}; {FORMATS}") from error


def content_of(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is a .gz."""
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    with gzip.open(path) as file:
        content = file.read(MAX_PACKED + 1)
    if len(content) > MAX_PACKED:
        raise PredictionsError(f"{path} unpacks to more than {MAX_PACKED // 2**30} GiB; unpack it yourself")
    return content


def text_of(content: bytes, path: Path) -> str:
    """The content as text: UTF-8, or UTF-16 where a byte order mark says so, as Excel and PowerShell write."""
    coding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(coding)
    except UnicodeDecodeError as error:
        raise PredictionsError(f"{path} cannot be read: {error}; save it as UTF-8; {FORMATS}") from error


def _lines(content: bytes) -> pl.DataFrame | None:
    """JSON lines by the fast reader; none where only the slow one keeps every value, or says what is wrong."""
    try:
        frame = pl.read_ndjson(content.removeprefix(b"\xef\xbb\xbf"), infer_schema_length=None)
    except (pl.exceptions.PolarsError, RuntimeError):
        return None
    if len(frame) < 2 or any(_has_floats(*column) for column in frame.schema.items()):
        return None
    return frame


def from_rows(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Rows of values as text, null where a row lacks the field."""
    texts = [{name: as_text(value) for name, value in row.items()} for row in rows]
    names = list(dict.fromkeys(name for row in texts for name in row))
    columns = {name: [row.get(name) for row in texts] for name in names}
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))


def as_text(value: Any) -> str | None:
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
    texts = [pl.Series(name, [as_text(value) for value in frame[name].to_list()], dtype=pl.String) for name in nested]
    return flat.with_columns(texts)
