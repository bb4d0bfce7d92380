"""SkyScript's metadata: tags of OpenStreetMap that hold somewhere in a picture's box. A pickle a picture.

A pickle can run any program. Here one is taken only if it is made of plain values: no name of a class or function may
occur in it, so that there is nothing to call. Layout: README.md of github.com/wangzhecheng/SkyScript.
"""

import pickle
import pickletools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from tasks.core.errors import VectorFileError
from tasks.earth.label_dates import Interval
from tasks.earth.label_features import Box, Labelled, Sheet
from tasks.earth.label_osm import classes_of
from tasks.earth.label_params import SourceParams

SUFFIXES = (".pickle", ".pkl")
LARGEST = 1_000_000
"""Bytes of one picture's metadata; they are some kilobytes."""
PLAIN = {
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT",
    "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "EMPTY_LIST", "APPEND", "APPENDS", "LIST", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "GET", "BINGET", "LONG_BINGET", "PUT",
    "BINPUT", "LONG_BINPUT", "MEMOIZE",
}  # fmt: skip
"""The steps of a pickle that make numbers, texts, lists, tuples and dictionaries, and nothing else."""
WGS84 = CRS.from_epsg(4326)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def load(path: Path) -> Any:
    """The plain values in a pickle.

    Raises:
        VectorFileError: it is too large, damaged, or holds anything but numbers, texts, lists, tuples and dictionaries.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise VectorFileError("too-large", f"{path} has {size} bytes; {LARGEST} are read of a picture's metadata")
    content = path.read_bytes()
    try:
        for step, argument, _ in pickletools.genops(content):
            if step.name not in PLAIN:
                raise VectorFileError("unsafe", f"{path} is refused: it holds more than plain values ({step.name})")
            # A number of a place in memory that no honest file reaches would have it all taken.
            if step.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(str(argument)) <= size:
                raise VectorFileError("unsafe", f"{path} is refused: it asks for memory beyond its size")
        return _Unpickler(BytesIO(content)).load()
    except VectorFileError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise VectorFileError("unreadable", f"{path} cannot be read: {error}") from error


def sheets(files: Sequence[Path], params: SourceParams, date: Interval | None) -> tuple[list[Sheet], list[Any]]:
    """A sheet for each picture's metadata, and the box it lies in."""
    found, places = [], []
    for file in files:
        place, when, names = _read(file, load(file))
        labels = sorted({params.rename.get(name, name) for name in names})
        found.append(Sheet(str(file), when or date, _Loaded(place, labels)))
        places.append(place)
    return found, places


class _Loaded:
    """The labels of one picture."""

    def __init__(self, place: Any, labels: Sequence[str]) -> None:
        self.place, self.labels = place, labels

    def __call__(self, box: Box) -> Labelled:
        shapes = np.array([self.place] * len(self.labels), dtype=object)
        return Labelled(shapes, np.array(self.labels, dtype=str), WGS84)


def _read(file: Path, document: Any) -> tuple[Any, Interval | None, set[str]]:
    try:
        west, south, east, north = (float(value) for value in document["box"])
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError(f"{document['box']} is no box")
        when = None
        if document.get("time"):
            year, month, day, *_ = (int(value) for value in document["time"])
            moment = datetime(year, month, day, tzinfo=UTC)
            when = Interval(moment, moment)
        tags = [document.get("center_tags") or {}, *(document.get("surrounding_tags") or [])]
        names = {name for one in tags for name in classes_of(_texts(one))}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VectorFileError("format", f"{file} is not SkyScript's metadata of a picture: {error!r}") from error
    return shapely.box(west, south, east, north), when, names


def _texts(tags: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in tags.items()}
