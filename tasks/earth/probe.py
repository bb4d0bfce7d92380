"""A look at a catalog before a run: what it has of a sensor, what reading it takes, and whether a file can be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pystac

from tasks.core.errors import CatalogError, SceneError
from tasks.core.redaction import redacted
from tasks.earth import stores
from tasks.earth.areas import load_areas
from tasks.earth.assets import Asset, find_mask, resolve
from tasks.earth.catalog import Catalog, Query
from tasks.earth.http import AnswerError
from tasks.earth.raster import TargetGrid
from tasks.earth.scene_reader import SceneReader
from tasks.earth.sensors import Sensor
from tasks.earth.sentinel_hub import SOURCE as SENTINEL_HUB
from tasks.earth.stores import has_credentials, store_of

MOST = 100
"""Items counted; more are 'more than'."""
_MAGIC = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}


@dataclass(frozen=True)
class Finding:
    """What one collection has of one sensor."""

    sensor: str
    collection: str
    items: str
    """How many, or why none."""
    credentials: str
    """Whether reading takes any, and whether they are there."""
    file: str
    """What the head of an asset of the first item says."""
    works: bool


def probe(catalog: Catalog, sensor: Sensor, datetime: str) -> Iterator[Finding]:
    """Look at each collection that the catalog's preset names for a sensor, in the preset's own small area.

    Raises:
        CatalogError: the catalog cannot be reached.
    """
    collections = catalog.params.collections.get(sensor.name, [])
    if not collections:
        yield Finding(sensor.name, "", "not offered by this preset", "", "", True)
    boxes = [catalog.params.area] if catalog.params.area else load_areas().boxes
    for collection in collections:
        queries = [Query(collection, box, datetime, None) for box in boxes]
        items = {item.id: item for query in queries for item in catalog.first(query, MOST + 1)}
        if not items:
            yield Finding(sensor.name, collection, f"none: {catalog.explain_nothing(queries[0])}", "", "", False)
            continue
        count = f"more than {MOST}" if len(items) > MOST else str(len(items))
        item = items[min(items)]
        file, works = _head(catalog, item, sensor)
        yield Finding(sensor.name, collection, count, _credentials(catalog, item, sensor), file, works)


def _asset(item: pystac.Item, sensor: Sensor) -> tuple[str, pystac.Asset]:
    """The asset that is read first: the mask, or a band; else any, for a file is to be seen."""
    try:
        first = find_mask(item, sensor) or next(iter(resolve(item, sensor).values()), None)
    except SceneError:
        first = None
    key = first.key if first else next(iter(item.assets))
    return key, item.assets[key]


def _credentials(catalog: Catalog, item: pystac.Item, sensor: Sensor) -> str:
    _, asset = _asset(item, sensor)
    if catalog.params.source == SENTINEL_HUB:
        return "an account; credentials are there"  # without them there would be no item
    if not asset.href.startswith("s3://"):
        return "a token, asked for by itself" if catalog.params.sign == "planetary-computer" else "none"
    pays = store_of(item, asset, None, catalog.params.s3_requester_pays).requester_pays
    if not pays and catalog.params.sign != "s3":
        return "none"
    why = "the reader pays" if pays else "an account"
    there = "there" if has_credentials() else "missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return f"{why}; credentials are {there}"


def _head(catalog: Catalog, item: pystac.Item, sensor: Sensor) -> tuple[str, bool]:
    key, asset = _asset(item, sensor)
    try:
        if catalog.params.source == SENTINEL_HUB:
            return f"{key} of {item.id}: {_computed(catalog, item, key)}", True
        address = catalog.address(asset.href)
        if address.startswith("s3://"):
            store = store_of(item, asset, catalog.params.s3_endpoint, catalog.params.s3_requester_pays)
            store.gdal_options()  # says what is missing
            start = stores.head(store, address, 16)
        elif address.startswith("http"):
            start = catalog.http().head(address, 16)
        else:
            with Path(address).open("rb") as file:
                start = file.read(16)
    except (AnswerError, CatalogError, SceneError, OSError) as error:
        return redacted(f"{key} of {item.id}: {error}"), False
    kind = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)
    return f"{key} of {item.id}: {kind or 'neither TIFF nor JPEG 2000'}", kind is not None


def _computed(catalog: Catalog, item: pystac.Item, key: str) -> str:
    """What Sentinel Hub makes of a few pixels in the middle of a scene."""
    reader = SceneReader(item, catalog)
    asset = Asset(item.id, key, item.assets[key].href)
    with reader.open({key: asset}) as scene:
        zone = scene.place.zones[0]
        x, y = scene.place.bounds_in(zone).centre
        numbers = scene.read({key: TargetGrid(zone, round(x) - 80.0, round(y) + 80.0, 10.0, 16, 16)}, codes=True)[key]
    return f"computed, {numbers.valid.mean():.0%} of {numbers.valid.size} pixels in its middle have data"
