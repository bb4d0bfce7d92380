"""What the jobs of `scan`, `labels` and `chips` have in common: how a worker reaches the catalog, and what a result
of one scene depends on.

A result is taken from the cache only if all that it depends on is known: the item, its collection, and a version of
every asset that a server vouches for.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac

from tasks.core.redaction import redacted
from tasks.core.stage import fingerprint
from tasks.earth import sample_catalog
from tasks.earth.asset_versions import assets_read, vouched
from tasks.earth.catalog import Catalog
from tasks.earth.catalog_params import CatalogParams
from tasks.earth.items import to_item
from tasks.earth.sensors import Sensor

VOLATILE = ("updated",)
"""Properties of an item that say when its document was written, and nothing of its pixels."""


@dataclass(frozen=True)
class CatalogAddress:
    """All that another process needs to read from the same catalog."""

    name: str
    params: CatalogParams
    endpoints: sample_catalog.Endpoints | None
    max_wait: float

    @classmethod
    def of(cls, catalog: Catalog) -> "CatalogAddress":
        """Of an open one, whose embedded servers must stay up."""
        params = catalog.params
        if not params.url.startswith(("http", sample_catalog.SCHEME)):
            params = params.model_copy(update={"url": str(Path(params.url).absolute())})
        return cls(catalog.name, params, catalog.endpoints, catalog.max_wait)

    def opened(self, workers: int) -> Catalog:
        """The catalog as one of so many workers reads from it: together they keep to its rate."""
        rate = self.params.requests_per_second / workers
        params = self.params.model_copy(update={"requests_per_second": rate})
        return Catalog(self.name, params, self.endpoints, self.max_wait)


@dataclass(frozen=True)
class SceneArgument:
    """One scene, as it travels to a worker."""

    item_id: str
    item: str
    """JSON of its STAC item."""
    name: str
    """No other scene of the sensor has it, where windows are named; elsewhere its id."""
    collection: Mapping[str, Any]
    """Document of its collection."""
    versions: Mapping[str, str]
    """Of its assets, as they were frozen, by href."""

    @classmethod
    def of(
        cls, item: pystac.Item, name: str, sensor: Sensor, catalog: Catalog, collections: Mapping[str, Any]
    ) -> "SceneArgument":
        """A scene of the frozen list, with its part of what was frozen beside it."""
        described = catalog.described(collections, item.collection_id)
        hrefs = {asset.href for asset in assets_read(item, sensor, described)}
        frozen = {href: catalog.frozen[href] for href in sorted(hrefs & catalog.frozen.keys())}
        document = json.dumps(item.to_dict(transform_hrefs=False), sort_keys=True)
        return cls(item.id, document, name, described, frozen)

    def opened(self, catalog: Catalog) -> pystac.Item:
        """The item; from now on the catalog holds its assets against their frozen versions."""
        catalog.frozen = self.versions
        return to_item(json.loads(self.item))


def scene_key(scene: SceneArgument, item: pystac.Item, sensor: Sensor, catalog: Catalog) -> tuple[str, bool]:
    """Hash of all that a scene itself brings to a result, and whether all of it is vouched for."""
    document = json.loads(scene.item)
    for name in VOLATILE:
        document["properties"].pop(name, None)
    versions = {
        asset.href: vouched(catalog, asset.href, catalog.store(asset))
        for asset in assets_read(item, sensor, scene.collection)
    }
    known = bool(versions) and all(versions.values())
    source = (sensor.name, scene.name, catalog.params.source, catalog.params.s3_endpoint)
    return fingerprint(redacted(json.dumps(document, sort_keys=True)), scene.collection, versions, source), known
