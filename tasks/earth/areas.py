"""Where to look: `areas:` of params.yaml as boxes to search and as shapes that windows must touch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, RootModel, model_validator
from pyproj import Geod

from tasks.core.errors import ParamsError, VectorFileError
from tasks.core.section import Section, load
from tasks.earth import lonlat_shapes, vector_files
from tasks.earth.own_files import own_path

Bbox = tuple[float, float, float, float]
"""(west, south, east, north) in degrees."""
TILE = 2.0
"""Degrees: features of a file in one square of this side are searched for together, for a scene is as large."""
MOST_BOXES = 16
"""An area of more separate places than this is searched by such squares."""


def _in_order(box: Bbox) -> Bbox:
    west, south, east, north = box
    if not (-180 <= west <= 180 and -180 <= east <= 180 and west != east and -90 <= south < north <= 90):
        raise ValueError(
            f"{list(box)} is not [west, south, east, north] in degrees; west may be the larger only of a box across "
            "180 degrees"
        )
    return box


def _place(point: tuple[float, float]) -> tuple[float, float]:
    if not (-180 <= point[0] <= 180 and -90 <= point[1] <= 90):
        raise ValueError(f"{list(point)} is not [longitude, latitude] in degrees")
    return point


Box = Annotated[Bbox, AfterValidator(_in_order)]
Place = Annotated[tuple[float, float], AfterValidator(_place)]
AreaFile = Annotated[str, AfterValidator(own_path("areas"))]


class Area(Section):
    """One area; a list stands for its box, a text for its path."""

    box: Box | None = Field(None, description="[west, south, east, north] in degrees; west > east crosses 180 degrees")
    path: AreaFile | None = Field(None, description="file of shapes under inputs/areas, in any coordinate system")
    layer: str | None = Field(None, description="layer of the file, where it has several")
    points: list[Place] | None = Field(None, min_length=1, description="[longitude, latitude] of each")
    size: float | None = Field(None, gt=0, le=1_000_000, description="side of the square around each point, metres")

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return {"box": value}
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Area":
        if sum(part is not None for part in (self.box, self.path, self.points)) != 1:
            raise ValueError("an area is one of: a box, a path, points with a size")
        if (self.points is not None and self.size is None) or (self.box is not None and self.size is not None):
            raise ValueError("points need a size; a box has none")
        if self.layer is not None and self.path is None:
            raise ValueError("a layer is one of a file: name its path")
        return self


class AreasParams(RootModel[dict[str, Area]]):
    """`areas:` in params.yaml: by name, a box [west, south, east, north], the path of a file, or points with a size."""

    root: dict[str, Area] = Field(min_length=1)


@dataclass(frozen=True)
class Areas:
    """All areas of params.yaml, read."""

    named: Mapping[str, NDArray[Any]]
    """Name of an area -> its shapes in degrees, none across 180."""

    @cached_property
    def boxes(self) -> list[Bbox]:
        """What to search: (west, south, east, north), none across 180 degrees; together they hold every area."""
        found = [box for shapes in self.named.values() for box in _search_boxes(shapes)]
        return list(dict.fromkeys(found))

    @cached_property
    def shapes(self) -> NDArray[Any]:
        """The single shapes of all areas."""
        return np.concatenate([_parts(shapes) for shapes in self.named.values()])

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.shapes)

    def touch(self, epsg: int, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of [n, 4] boxes (left, bottom, right, top), in the metres of a UTM or UPS zone, touch an area."""
        return self.touched(lonlat_shapes.boxes_of(epsg, boxes))

    def touched(self, shapes: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of these shapes in degrees touch an area."""
        out = np.zeros(len(shapes), dtype=bool)
        out[self._tree.query(shapes, predicate="intersects")[0]] = True
        return out


def load_areas() -> Areas:
    """`areas:` of params.yaml with the files it names.

    Raises:
        ParamsError: a file is not there, damaged, of no known format or without a coordinate system; names the area.
    """
    areas = load(AreasParams, "areas").root
    return Areas({name: np.array(_shapes(f"areas.{name}", area), dtype=object) for name, area in areas.items()})


def _shapes(where: str, area: Area) -> Sequence[Any]:
    if area.box is not None:
        return [lonlat_shapes.of_bounds(*area.box)]
    if area.path is None:
        return [_square(x, y, area.size or 0) for x, y in area.points or []]
    shapes = _of_file(where, area.path, area.layer)
    if area.size is None:
        return shapes
    if other := {shape.geom_type for shape in shapes} - {"Point", "MultiPoint"}:
        raise ParamsError(f"{where}: {area.path} has {sorted(other)[0]}s; `size` goes with points alone")
    return [_square(float(x), float(y), area.size) for x, y in shapely.get_coordinates(shapes)]


def _of_file(where: str, path: str, layer: str | None) -> Sequence[Any]:
    try:
        features = vector_files.read(Path(path), layer=layer)
        shapes = lonlat_shapes.to_lonlat(features.shapes, features.crs)
    except (VectorFileError, lonlat_shapes.AmbiguousShapeError) as error:
        detail = str(error) if str(error).startswith(path) else f"{path}: {error}"
        raise ParamsError(f"{where}: {detail}") from error
    outside = ~np.isfinite(shapely.bounds(shapes)).all(axis=1) if len(shapes) else np.zeros(0, bool)
    if not len(shapes) or outside.all():
        lost = ", ".join(f"{count} {reason}" for reason, count in features.dropped.items())
        raise ParamsError(f"{where}: {path} has no feature with a geometry on the Earth{f' ({lost})' if lost else ''}")
    if outside.any():
        raise ParamsError(
            f"{where}: {int(outside.sum())} of {len(shapes)} features of {path} lie outside the Earth in "
            f"{features.crs.name}"
        )
    return list(shapes)


def _square(longitude: float, latitude: float, size: float) -> Any:
    """The square of `size` metres around a place, its sides along meridian and parallel."""
    geod = Geod(ellps="WGS84")
    _, north, _ = geod.fwd(longitude, latitude, 0, size / 2)
    _, south, _ = geod.fwd(longitude, latitude, 180, size / 2)
    if geod.inv(longitude, latitude, longitude, 90)[2] <= size / 2:  # the pole is in it
        return shapely.box(-180, min(north, south), 180, 90)
    if geod.inv(longitude, latitude, longitude, -90)[2] <= size / 2:
        return shapely.box(-180, -90, 180, max(north, south))
    # Degrees of longitude are shortest at the side nearer to the pole.
    far = north if latitude >= 0 else south
    east, _, _ = geod.fwd(0.0, far, 90, size / 2)
    return lonlat_shapes.cut(shapely.box(longitude - east, south, longitude + east, north))


def _parts(shapes: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(shapely.get_parts(shapes))


def _search_boxes(shapes: NDArray[Any]) -> Iterator[Bbox]:
    boxes = _joined(shapely.bounds(_parts(shapes)))
    if len(boxes) > MOST_BOXES:
        # By the square that the middle lies in; a box larger than a square stays whole.
        middle = np.floor((boxes[:, :2] + boxes[:, 2:]) / 2 / TILE)
        _, group = np.unique(middle, axis=0, return_inverse=True)
        group = group.ravel()
        boxes = np.array([_hull(boxes[group == index]) for index in range(group.max() + 1)])
    # A centimetre: shapes of a file have no round numbers.
    for west, south, east, north in np.round(boxes, 7).tolist():
        box: Bbox = (west, south, east, north)
        yield box


def _joined(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes that overlap as one, over and over, until none does."""
    while True:
        polygons: NDArray[Any] = np.asarray(shapely.box(*boxes.T))
        first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
        group = np.arange(len(boxes))
        np.minimum.at(group, first, group[second])
        if (group == np.arange(len(boxes))).all():
            return boxes
        boxes = np.array([_hull(boxes[group == index]) for index in np.unique(group)])


def _hull(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
