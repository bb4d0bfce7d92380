"""Label files: those of one's own, and features of the catalog, which are fetched whole before they are read."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import Transformer

from tasks.core.errors import SceneError, UnreachableError, VectorFileError
from tasks.core.redaction import redacted
from tasks.earth import lonlat_shapes, stores, vector_files, vector_formats
from tasks.earth.catalog import Catalog
from tasks.earth.faults import GONE
from tasks.earth.http import AnswerError
from tasks.earth.label_dates import Interval
from tasks.earth.label_features import Box, Labelled, around
from tasks.earth.label_params import SourceParams
from tasks.earth.stores import Store

VECTOR = (".gpkg", ".geojson", ".json", ".parquet", ".geoparquet", ".fgb", ".zip")
RASTER = (".tif", ".tiff")
YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
LARGEST = 200_000_000
"""Bytes of a label file of the catalog; larger ones are to be fetched by hand and named by their path."""


def expand(path: str, suffixes: Sequence[str]) -> list[Path]:
    """The files that a path names: itself, those of a folder with one of the suffixes, or those of a pattern.

    Raises:
        VectorFileError: there is none.
    """
    given = Path(path)
    if given.is_dir():
        found = [file for file in given.rglob("*") if file.is_file() and file.name.lower().endswith(tuple(suffixes))]
    elif given.is_file():
        found = [given]
    else:
        root = Path(*given.parts[:2])
        found = [file for file in root.glob(str(given.relative_to(root))) if file.is_file()]
    if not found:
        raise VectorFileError("missing", f"{path} is not there, or holds no file of {', '.join(suffixes)}")
    return sorted(found)


class Downloads:
    """Label files of the catalog, each fetched once a run into a folder that goes with it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._http = catalog.http()
        self._files: dict[str, Path] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="labels-")

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    def get(self, href: str, where: str) -> Path:
        """The file behind a recorded href.

        Raises:
            SceneError: it is not there, too large, or where this catalog's files may not lie.
            UnreachableError: the server does not give it just now.
        """
        url = self._catalog.address(href)
        if not url.startswith(("http://", "https://", "s3://")):
            return Path(url)  # of a static catalog in a folder
        if href not in self._files:
            content = self._object(url, where) if url.startswith("s3://") else self._body(url, where)
            # GDAL complains of a content that does not go with the suffix.
            name = f"{len(self._files)}{vector_formats.format_of(content[:4096]) or ''}"
            self._files[href] = Path(self._folder.name) / name
            self._files[href].write_bytes(content)
        return self._files[href]

    def _body(self, url: str, where: str) -> bytes:
        try:
            return self._http.content(url, largest=LARGEST)
        except AnswerError as error:
            # A body that is too large comes with a status that is good.
            if error.status in (*GONE, 200, 206):
                raise SceneError("unreadable", f"{where}: {redacted(str(error))}") from error
            raise UnreachableError(f"{where}: {redacted(str(error))}. Run the same command again later") from error
        except UnreachableError as error:
            raise UnreachableError(f"{where}: {redacted(str(error))}. Run the same command again later") from error

    def _object(self, url: str, where: str) -> bytes:
        params = self._catalog.params
        store = Store(params.s3_endpoint, params.s3_requester_pays)
        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            opened = store.open(bucket)
            size = int(opened.head(key)["size"])
            if size > LARGEST:
                raise SceneError("too-large", f"{where} is of {size:,} bytes, of which {LARGEST:,} are taken")
            return bytes(opened.get(key).bytes())
        except SceneError:
            raise
        except Exception as error:  # obstore raises its own, one a kind of failure
            status = stores.status(store, url)
            if status in GONE:
                raise SceneError("unreadable", f"{where}: the store has no such object") from error
            raise UnreachableError(f"{where}: the store answers {status}. Run the same command again later") from error


def features(path: Path, params: SourceParams, box: Box, lost: dict[str, int]) -> Labelled:
    """Features of a file near a box of degrees, with their labels.

    Args:
        path: the file.
        params: which layer and attribute, and how classes are renamed.
        box: (west, south, east, north) in degrees; west > east crosses 180.
        lost: features that cannot be used are counted here, by reason.

    Raises:
        VectorFileError: it cannot be read, or has no such layer or attribute; names those it has.
    """
    crs = vector_files.crs_of(path, params.layer)
    near = around(box, crs)
    boxes = [None] if near is None else [shapely.bounds(part) for part in shapely.get_parts(near)]
    read = [
        vector_files.read(path, [params.attribute], params.layer, None if one is None else tuple(one.tolist()))
        for one in boxes
    ]
    for reason in {reason for one in read for reason in one.dropped}:
        lost[reason] = max(lost.get(reason, 0), sum(one.dropped.get(reason, 0) for one in read))
    shapes = np.concatenate([one.shapes for one in read])
    names = [_name(value) for one in read for value in one.columns[params.attribute]]
    named = np.array([name is not None for name in names], dtype=bool)
    if not named.all():
        lost["no class"] = max(lost.get("no class", 0), int((~named).sum()))
    labels = [params.rename.get(name, name) for name in names if name is not None]
    return Labelled(shapes[named], np.array(labels, dtype=str), crs)


def extent_of(path: Path, params: SourceParams) -> Any:
    """The box around all features of a file, in degrees."""
    crs, bounds = vector_files.bounds_of(path, params.layer)
    if bounds is None:
        return shapely.Polygon()
    return lonlat_shapes.of_bounds(*Transformer.from_crs(crs, 4326, always_xy=True).transform_bounds(*bounds))


def year_of(path: Path) -> Interval | None:
    """The year that the name of a file holds; None if it holds none, or several."""
    years = set(YEAR.findall(path.name))
    return Interval.of_text(years.pop()) if len(years) == 1 else None


def _name(value: Any) -> str | None:
    """A class as text: none for null and blank, `3` for 3.0, as a column with nulls holds whole numbers."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None
