"""Reading the features of a local vector file: what it is is seen by its content, and only then is a driver chosen.

GDAL would try all of its drivers on a file, and some of them (VRT, GDALG, WFS) follow what a file says to other files
and hosts. Every format that is read here keeps its features in itself.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from tasks.core.errors import VectorFileError
from tasks.earth.vector_formats import check_geopackage, format_of

ZIP_LIMIT = 4_000_000_000
"""Bytes that a zipped shapefile may unfold to."""
SHAPEFILE = b"\x00\x00\x27\x0a"
WANTED = "GeoPackage, GeoJSON, GeoParquet, FlatGeobuf or a zipped shapefile"


@dataclass(frozen=True)
class Features:
    """Features of one layer."""

    shapes: NDArray[Any]
    """shapely geometries, two-dimensional and valid; none is empty."""
    columns: dict[str, NDArray[Any]]
    """Values of the columns asked for, one a feature."""
    crs: CRS
    dropped: dict[str, int]
    """Features without a usable geometry: how many are null, empty or unreadable."""


def read(
    path: Path,
    columns: Sequence[str] = (),
    layer: str | None = None,
    box: tuple[float, float, float, float] | None = None,
) -> Features:
    """Features of a file.

    Args:
        path: of this machine.
        columns: wanted of each feature.
        layer: of a file that has several; needed only there.
        box: features that touch it, in the file's own coordinates; None: all.

    Raises:
        VectorFileError: not one of the formats, damaged, without a coordinate system, or without a layer or column
            asked for; names those it has.
    """
    kind = _kind(path)
    try:
        if kind == ".parquet":
            crs, shapes, values = _parquet(path, columns, box)
        else:
            crs, shapes, values = _ogr(path, kind, columns, layer, box)
    except VectorFileError:
        raise
    except Exception as error:  # pyogrio, pyarrow and geopandas have no common root of their errors
        raise VectorFileError("unreadable", f"{path} cannot be read: {_line(error)}") from error
    return _usable(shapes, values, crs)


def crs_of(path: Path, layer: str | None = None) -> CRS:
    """The coordinate system of a layer, without its features; errors as of `read`."""
    kind = _kind(path)
    if kind == ".parquet":
        import pyarrow.parquet as pq

        return _parquet_crs(path, pq.read_schema(path).metadata or {})
    import pyogrio

    source = _source(path, kind)
    try:
        info = pyogrio.read_info(source, layer=_layer(path, source, layer))
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise VectorFileError("unreadable", f"{path} cannot be read: {_line(error)}") from error
    return _crs(path, info["crs"])


def bounds_of(path: Path, layer: str | None = None) -> tuple[CRS, tuple[float, float, float, float] | None]:
    """The coordinate system of a layer and the box around its features; None if there are none. Errors as of `read`."""
    crs, kind = crs_of(path, layer), _kind(path)
    if kind == ".parquet":
        box = shapely.total_bounds(read(path, layer=layer).shapes)
    else:
        import pyogrio

        source = _source(path, kind)
        box = pyogrio.read_info(source, layer=_layer(path, source, layer), force_total_bounds=True)["total_bounds"]
    if box is None or not np.isfinite(box).all():
        return crs, None
    left, bottom, right, top = (float(value) for value in box)
    return crs, (left, bottom, right, top)


def _kind(path: Path) -> str:
    if not path.is_file():
        raise VectorFileError("missing", f"{path} is not there, or is no file")
    with path.open("rb") as file:
        kind = format_of(file.read(4096))
    if kind is None:
        raise VectorFileError("format", f"{path} is not {WANTED}, whatever its name says; convert it, as by ogr2ogr")
    if kind == ".gpkg":
        check_geopackage(path)
    return kind


def _source(path: Path, kind: str) -> str:
    """What GDAL is given: with a prefix or a member's name where content alone would leave the driver open."""
    where = str(path.resolve())
    if kind == ".geojson":
        return f"GeoJSON:{where}"
    if kind != ".zip":
        return where
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".shp")]
            size = sum(entry.file_size for entry in archive.infolist())
            if len(shapes) != 1:
                raise VectorFileError("format", f"{path} holds {len(shapes)} shapefiles; one is wanted")
            if size > ZIP_LIMIT:
                raise VectorFileError("too-large", f"{path} unfolds to {size} bytes; {ZIP_LIMIT} are allowed")
            with archive.open(shapes[0]) as file:
                if file.read(4) != SHAPEFILE:
                    raise VectorFileError("format", f"{path}: {shapes[0].filename} is not a shapefile")
    except zipfile.BadZipFile as error:
        raise VectorFileError("unreadable", f"{path} cannot be read: {error}") from error
    return f"/vsizip/{{{where}}}/{shapes[0].filename}"


def _ogr(
    path: Path, kind: str, columns: Sequence[str], layer: str | None, box: tuple[float, float, float, float] | None
) -> tuple[CRS, NDArray[Any], dict[str, NDArray[Any]]]:
    import pyogrio  # here, for it brings geopandas with it, and most who import this module read no features

    source = _source(path, kind)
    layer = _layer(path, source, layer)
    info = pyogrio.read_info(source, layer=layer)
    crs = _crs(path, info["crs"])
    _require(path, columns, list(info["fields"]))
    _, _, geometry, fields = pyogrio.raw.read(source, layer=layer, columns=list(columns), bbox=box, force_2d=True)
    if geometry is None:
        raise VectorFileError("no-geometry", f"{path} has a table without geometry")
    order = [name for name in info["fields"] if name in columns]  # pyogrio gives columns in the file's order
    return crs, shapely.from_wkb(geometry, on_invalid="ignore"), dict(zip(order, fields, strict=True))


def _layer(path: Path, source: str, wanted: str | None) -> str | None:
    import pyogrio

    try:
        # Tables without geometry are no layers: QGIS keeps its styles in one.
        names = [str(name) for name, geometry in pyogrio.list_layers(source) if geometry is not None]
    except (pyogrio.errors.DataSourceError, ValueError) as error:
        raise VectorFileError("unreadable", f"{path} cannot be read: {_line(error)}") from error
    if not names:
        raise VectorFileError("no-geometry", f"{path} has no layer with a geometry")
    if wanted is None and len(names) > 1:
        raise VectorFileError("layer", f"{path} has {len(names)} layers; name one as `layer`: {', '.join(names)}")
    if wanted is not None and wanted not in names:
        raise VectorFileError("layer", f"{path} has no layer '{wanted}'; it has: {', '.join(names)}")
    return wanted or names[0]


def _parquet(
    path: Path, columns: Sequence[str], box: tuple[float, float, float, float] | None
) -> tuple[CRS, NDArray[Any], dict[str, NDArray[Any]]]:
    import geopandas
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    crs = _parquet_crs(path, schema.metadata or {})
    geometry = json.loads(schema.metadata[b"geo"])["primary_column"]
    _require(path, columns, [name for name in schema.names if name != geometry])
    frame = geopandas.read_parquet(path, columns=[*columns, geometry])
    shapes = shapely.force_2d(np.asarray(frame.geometry.array))
    near = np.ones(len(shapes), bool) if box is None else shapely.intersects(shapes, shapely.box(*box))
    return (
        crs,
        shapes[near | shapely.is_missing(shapes)],
        {name: frame[name].to_numpy()[near | shapely.is_missing(shapes)] for name in columns},
    )


def _parquet_crs(path: Path, metadata: dict[bytes, bytes]) -> CRS:
    if b"geo" not in metadata:
        raise VectorFileError("format", f"{path} is Parquet without GeoParquet's metadata: its geometry is unknown")
    geo = json.loads(metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    # GeoParquet: no `crs` is OGC:CRS84, null is unknown.
    crs = column.get("crs", "OGC:CRS84")
    return _crs(path, json.dumps(crs) if isinstance(crs, dict) else crs)


def _crs(path: Path, given: str | None) -> CRS:
    try:
        crs = CRS.from_user_input(given) if given else None
    except CRSError as error:
        raise VectorFileError(
            "no-crs", f"{path}: its coordinate system is not known to PROJ: {_line(error)}"
        ) from error
    # GeoPackage's numbers 0 and -1 stand for systems that are named "Undefined ...".
    if crs is None or not (crs.is_geographic or crs.is_projected) or crs.name.lower().startswith("undefined"):
        raise VectorFileError(
            "no-crs", f"{path} names no coordinate system; assign one, as by ogr2ogr -a_srs EPSG:4326"
        )
    return crs


def _require(path: Path, columns: Sequence[str], there: Sequence[str]) -> None:
    missing = [name for name in columns if name not in there]
    if missing:
        has = ", ".join(there) or "none"
        raise VectorFileError("missing-attribute", f"{path} has no attribute '{missing[0]}'; it has: {has}")


def _usable(shapes: NDArray[Any], columns: dict[str, NDArray[Any]], crs: CRS) -> Features:
    null = shapely.is_missing(shapes)
    empty = shapely.is_empty(shapes)
    infinite = ~null & ~empty & ~np.isfinite(shapely.bounds(shapes)).all(axis=1)
    keep = ~(null | empty | infinite)
    counts = {"null": int(null.sum()), "empty": int(empty.sum()), "unreadable": int(infinite.sum())}
    return Features(
        shapely.make_valid(shapes[keep]),
        {name: values[keep] for name, values in columns.items()},
        crs,
        {reason: count for reason, count in counts.items() if count},
    )


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
