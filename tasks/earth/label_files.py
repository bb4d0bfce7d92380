"""Label files: those of one's own, and features of the catalog, which are fetched whole before they are read."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import requests
import shapely

from tasks.core.errors import SceneError, VectorFileError
from tasks.earth import vector_files
from tasks.earth.catalog import Catalog
from tasks.earth.faults import fault
from tasks.earth.label_features import Box, Labelled, halves, unary_box
from tasks.earth.label_params import SourceParams

VECTOR = (".gpkg", ".geojson", ".json", ".parquet", ".geoparquet", ".fgb", ".zip")
RASTER = (".tif", ".tiff")
LARGEST = 500_000_000
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
        self._folder = tempfile.TemporaryDirectory(prefix="labels-")

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    def get(self, href: str, where: str) -> Path:
        """The file behind a recorded href.

        Raises:
            SceneError: it is not there, too large, or at no address that is read.
            UnreachableError: the server does not give it just now.
        """
        file = Path(self._folder.name) / hashlib.sha256(href.encode()).hexdigest()
        if file.is_file():
            return file
        url = self._catalog.href(href)
        if not url.startswith(("http://", "https://")):
            raise SceneError("address", f"{where}: features are read over http(s), not from {href.partition(':')[0]}:")
        partial = file.with_suffix(".partial")
        try:
            with requests.get(url, timeout=60, stream=True) as answer, partial.open("wb") as out:
                answer.raise_for_status()
                _refuse_large(int(answer.headers.get("Content-Length") or 0), where)
                for chunk in answer.iter_content(1 << 20):
                    out.write(chunk)
                    _refuse_large(out.tell(), where)
        except requests.RequestException as error:
            raise fault(error, where, url) from error
        return partial.replace(file)


def _refuse_large(size: int, where: str) -> None:
    if size > LARGEST:
        raise SceneError(
            "too-large",
            f"{where} is larger than {LARGEST // 1_000_000} MB; fetch it by hand and name it as a file of your own",
        )


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
    near = unary_box(box, crs)
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
    """The box, in degrees, around all features of a file."""
    from tasks.earth.label_rasters import footprint_of_bounds

    found = vector_files.read(path, [], params.layer)
    if not len(found.shapes):
        return shapely.Polygon()
    from pyproj import Transformer

    bounds = Transformer.from_crs(found.crs, 4326, always_xy=True).transform_bounds(*shapely.total_bounds(found.shapes))
    return footprint_of_bounds(*bounds)


def _name(value: Any) -> str | None:
    """A class as text: none for null and blank, `3` for 3.0, as a column with nulls holds whole numbers."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


__all__ = ["Downloads", "expand", "extent_of", "features", "halves"]
