"""What a file of features is, by its content: its name may say anything."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tasks.core.errors import VectorFileError


def format_of(head: bytes) -> str | None:
    """What a file is by its first bytes, as the usual suffix of such files; None if it is nothing that is read here."""
    if head.startswith(b"SQLite format 3\0"):
        return ".gpkg"
    if head.startswith(b"fgb\x03fgb"):
        return ".fgb"
    if head.startswith(b"PAR1"):
        return ".parquet"
    if head.startswith(b"PK\x03\x04"):
        return ".zip"
    return ".geojson" if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" else None


def check_geopackage(path: Path) -> None:
    """Refuse a database whose tables stand for other files: SQLite's virtual tables, but those of spatial indexes.

    Raises:
        VectorFileError: it has such a table, or is no database.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            tables = database.execute("SELECT name, sql FROM sqlite_master WHERE sql LIKE '%VIRTUAL%'").fetchall()
    except sqlite3.Error as error:
        raise VectorFileError("unreadable", f"{path} cannot be read: {error}") from error
    for name, sql in tables:
        words = str(sql).upper().split()
        if words[1:3] == ["VIRTUAL", "TABLE"] and "USING" in words:
            module = words[words.index("USING") + 1].partition("(")[0]
            if module not in ("RTREE", "RTREE_I32", "FTS3", "FTS4", "FTS5"):
                raise VectorFileError(
                    "format", f"{path}: table '{name}' is virtual ({module}) and may stand for another file; refused"
                )
