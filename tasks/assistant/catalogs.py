"""Catalogs of params.yaml, by name: searched, and kept open as long as the server runs.

An assistant names a catalog and never an address. What it may cut is what a search of this server found.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pystac
import shapely
from shapely.geometry import shape

from tasks.assistant.errors import AssistantError, shown
from tasks.assistant.records import FoundScene, FoundScenes
from tasks.assistant.work import Job
from tasks.core.section import read_params
from tasks.earth.acquisitions import supersede
from tasks.earth.areas import MOST_BOXES, Bbox
from tasks.earth.catalog import Catalog, Query, Refused, open_catalog, selected
from tasks.earth.conditions import cloud_cover, interval, item_boxes, planar
from tasks.earth.sensors import SENSORS, Sensor

REMEMBERED = 10_000
"""Scenes of earlier searches that can still be cut."""
MOST_CORNERS = 10_000
"""Of a place."""


@dataclass(frozen=True)
class Search:
    """What is looked for."""

    sensor: str
    bbox: Bbox | None
    place: Mapping[str, Any] | None
    start: str | None
    end: str | None
    max_cloud: float | None
    catalog: str | None
    limit: int


@dataclass(frozen=True)
class KnownScene:
    """A scene that a search found."""

    catalog: str
    sensor: Sensor
    item: pystac.Item


class Catalogs:
    """The catalogs of a server; each is asked by one thread at a time."""

    def __init__(self, max_items: int, max_wait: float) -> None:
        """None is open yet.

        Args:
            max_items: of a collection and a box; more is an error that asks for a smaller search.
            max_wait: seconds that one request waits in all between its tries.
        """
        self.max_items, self.max_wait = max_items, max_wait
        self._open: dict[str, Catalog] = {}
        self._stack = ExitStack()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._known: OrderedDict[tuple[str, str, str], KnownScene] = OrderedDict()

    @property
    def names(self) -> list[str]:
        """Of the presets in params.yaml."""
        return list(read_params().get("catalogs", {}))

    def close(self) -> None:
        """Close all of them."""
        self._stack.close()

    @contextmanager
    def opened(self, name: str) -> Iterator[Catalog]:
        """A catalog, for one thread.

        Raises:
            EarthloomError: it cannot be opened.
        """
        with self._locks[name]:
            if name not in self._open:
                self._open[name] = self._stack.enter_context(
                    open_catalog(search=True, max_wait=self.max_wait, name=name)
                )
            yield self._open[name]

    def chosen(self, name: str | None) -> str:
        """The name of a catalog, or of the one that params.yaml chooses.

        Raises:
            AssistantError: it is none of the presets.
        """
        if name is not None and name not in self.names:
            raise AssistantError(
                f"catalog is {shown(name)}, which is none of this server's; it knows by name: "
                f"{', '.join(self.names)}. Addresses are not opened"
            )
        return selected(name)[0]

    def search(self, asked: Search, job: Job) -> FoundScenes:
        """The scenes that meet a search; those that are not taken come with why.

        Raises:
            AssistantError: a parameter says nothing that can be looked for.
            CatalogError: the catalog cannot be asked, or gives too much.
        """
        if asked.sensor not in SENSORS:
            raise AssistantError(f"sensor is {shown(asked.sensor)}; there are: {', '.join(SENSORS)}")
        sensor, name = SENSORS[asked.sensor], self.chosen(asked.catalog)
        boxes, outline, dates = *_where(asked), _when(asked)
        items: dict[tuple[str, str], pystac.Item] = {}
        refused: dict[Refused, None] = {}
        with self.opened(name) as catalog:
            collections = catalog.params.collections.get(sensor.name, [])
            if not collections:
                raise AssistantError(f"catalog '{name}' has no scenes of sensor '{sensor.name}'")
            queries = [Query(collection, box, dates, asked.max_cloud) for collection in collections for box in boxes]
            for number, query in enumerate(queries):
                job.step(number, len(queries), f"searching {query.collection}")
                found = catalog.find(query, self.max_items)
                items |= {(query.collection, item.id): item for item in found.items if _touches(item, outline)}
                refused |= dict.fromkeys(found.refused)
            note = None if items else "; ".join(dict.fromkeys(map(catalog.explain_nothing, queries)))
        kept, superseded = supersede([items[key] for key in sorted(items)], sensor, collections)
        kept.sort(key=lambda item: (_taken(item), item.id), reverse=True)
        for item in kept:
            self._remember(KnownScene(name, sensor, item))
        left_out = [f"{row.item_id or 'a page'} of {row.collection}: {row.detail}" for row in refused]
        left_out += [f"{item.id}: the same scene as {taken.id}, which is taken" for item, taken in superseded]
        return FoundScenes(
            catalog=name,
            sensor=sensor.name,
            found=len(kept),
            scenes=[_row(item) for item in kept[: asked.limit]],
            left_out=left_out[: asked.limit],
            note=note,
        )

    def known(self, scene: str, collection: str | None, catalog: str | None) -> KnownScene:
        """A scene that a search of this server found.

        Raises:
            AssistantError: none did, or several are called so.
        """
        name = self.chosen(catalog)
        found = [
            one
            for (where, of, called), one in list(self._known.items())
            if where == name and called == scene and collection in (None, of)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(one.item.collection_id) for one in found)
            raise AssistantError(f"scene {shown(scene)} is in several collections, {names}: say which as `collection`")
        of = f" of collection {shown(collection)}" if collection else ""
        raise AssistantError(
            f"scene {shown(scene)}{of} was not found by a search in catalog '{name}' since the server started: "
            "find it with search_scenes first"
        )

    def _remember(self, scene: KnownScene) -> None:
        key = (scene.catalog, str(scene.item.collection_id), scene.item.id)
        self._known[key] = scene
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _where(asked: Search) -> tuple[list[Sequence[float]], Any]:
    """Boxes to search, and the shape that scenes must touch; None where the boxes say it all."""
    if (asked.bbox is None) == (asked.place is None):
        raise AssistantError("give either bbox, [west, south, east, north] in degrees, or place, a GeoJSON geometry")
    if asked.bbox is not None:
        return list(planar(asked.bbox)), None
    try:
        outline = _shape_of(asked.place or {})
        usable = bool(outline.is_valid and not outline.is_empty)
        corners = shapely.count_coordinates(outline)
    except Exception as error:  # whatever shapely raises over what is no geometry
        raise AssistantError(f"place is no GeoJSON geometry, feature or collection of features ({error})") from error
    if not usable:
        raise AssistantError(f"place is empty or not valid: {shapely.is_valid_reason(outline)}")
    if corners > MOST_CORNERS:
        raise AssistantError(f"place has {corners} corners, {MOST_CORNERS} at most; simplify it, or give its bbox")
    west, south, east, north = outline.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise AssistantError(f"place lies at {list(outline.bounds)}; its coordinates are [longitude, latitude]")
    parts = [part.bounds for part in shapely.get_parts(outline)]
    return parts if len(parts) <= MOST_BOXES else [outline.bounds], outline


def _shape_of(place: Mapping[str, Any]) -> Any:
    if place.get("type") == "FeatureCollection":
        return shapely.union_all([shape(feature["geometry"]) for feature in place["features"]])
    return shape(dict(place["geometry"] if place.get("type") == "Feature" else place))


def _when(asked: Search) -> str | None:
    if asked.start is None and asked.end is None:
        return None
    dates = f"{asked.start or '..'}/{asked.end or '..'}"
    try:
        interval(dates)
    except ValueError as error:
        raise AssistantError(f"start and end: {error}") from error
    return dates


def _touches(item: pystac.Item, outline: Any) -> bool:
    if outline is None:
        return True
    footprint = (
        shape(item.geometry) if item.geometry else shapely.union_all([shapely.box(*b) for b in item_boxes(item)])
    )
    return bool(outline.intersects(footprint))


def _taken(item: pystac.Item) -> str:
    when = item.datetime or item.common_metadata.start_datetime
    return when.isoformat() if when else ""


def _row(item: pystac.Item) -> FoundScene:
    return FoundScene(
        scene=item.id,
        collection=str(item.collection_id),
        datetime=_taken(item),
        cloud=cloud_cover({"properties": item.properties}),
        bbox=[round(float(edge), 6) for edge in item.bbox or ()],
        platform=item.properties.get("platform"),
    )
