"""Sentinel Hub's Catalog API: scenes as STAC items with one asset a band, recorded like any others."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pystac
from pystac_client.item_search import ItemSearch
from sentinelhub.api.catalog import SentinelHubCatalog
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from tasks.core.errors import CatalogError
from tasks.earth.sentinel_hub import SCHEME
from tasks.earth.sentinel_hub.account import Account
from tasks.earth.sentinel_hub.collections import Collection, Plane, collections

PAGE = 100
"""Items a page, the most that the service gives."""


def features(
    account: Account,
    collection: str,
    bbox: Sequence[float] | None,
    datetime: str | None,
    max_cloud: float | None,
) -> Iterator[dict[str, Any]]:
    """Scenes as the JSON of STAC items, each id once, in the service's order; pages are asked for as they are needed.

    One that is no STAC item comes as the service gave it, for the caller to refuse.

    Args:
        account: see `open_account`.
        collection: name of one of `collections()`.
        bbox: west, south, east, north in degrees; none that crosses 180 degrees. None: everywhere.
        datetime: interval, date, month or year as in STAC; None: always.
        max_cloud: percent at most, where items of the collection tell it.

    Raises:
        CatalogError: the collection is not known, the service refuses, or repeats its pages without end.
        UnreachableError: the service cannot be reached.
    """
    what = f"search of '{collection}'"
    known = collections().get(collection)
    if known is None:
        raise CatalogError(f"{what}: not known; Sentinel Hub's are here: {', '.join(sorted(collections()))}")
    with account.errors(what):
        catalog = _catalog(account, collection)
    # As pystac-client reads it: an end date means its whole day, a month all of it.
    when: dict[str, Any] = {"datetime": _interval(datetime)} if datetime else {}
    west_south_east_north = (float(bbox[0]), float(bbox[1]), float(bbox[2]), float(bbox[3])) if bbox else None
    found = catalog.search(
        collection,
        bbox=BBox(west_south_east_north, CRS.WGS84) if west_south_east_north else None,
        filter=f"eo:cloud_cover <= {max_cloud:g}" if max_cloud is not None and known.cloud_cover else None,
        limit=PAGE,
        **when,
    )
    seen: set[str] = set()
    repeated = 0
    while True:
        try:
            with account.errors(what):
                feature = next(found)
            name = str(feature["id"])
        except StopIteration:
            return
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CatalogError(f"{what}: the answer is not a page of STAC items ({type(error).__name__})") from error
        if name in seen:
            repeated += 1
            if repeated > PAGE:
                raise CatalogError(f"{what}: the service repeats its pages; {len(seen)} scenes were found before")
            continue
        repeated = 0
        seen.add(name)
        try:
            yield with_bands(feature, known)
        except (KeyError, TypeError, AttributeError):
            yield feature


class Query(Protocol):
    """What is asked for in one collection; `tasks.earth.catalog` has it."""

    @property
    def collection(self) -> str:
        """Its name."""

    @property
    def bbox(self) -> Sequence[float] | None:
        """west, south, east, north in degrees."""

    @property
    def datetime(self) -> str | None:
        """As in STAC."""

    @property
    def max_cloud(self) -> float | None:
        """Percent."""


class SentinelHubSource:
    """Sentinel Hub in the place of a STAC API."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.notes: list[str] = []
        """Nothing: what goes wrong here is an error."""

    def features(self, query: Query) -> Iterator[tuple[dict[str, Any], str]]:
        """Scenes as the JSON of items, each once; no href of theirs is relative. Errors as of `features`."""
        for feature in features(self.account, query.collection, query.bbox, query.datetime, query.max_cloud):
            yield feature, self.account.root(query.collection)

    def collections(self) -> list[str]:
        """Names of the collections that the account may read and that are known here."""
        roots = {self.account.root(name): name for name in collections()}
        offered: set[str] = set()
        for name in roots.values():
            with self.account.errors("list of collections"):
                offered |= {str(one.get("id")) for one in _catalog(self.account, name).get_collections()}
        return sorted(offered & set(collections()))

    def collection(self, name: str) -> dict[str, Any] | None:
        """The document of one; None if the service has none of that name."""
        if name not in self.collections():
            return None
        with self.account.errors(f"collection '{name}'"):
            document: dict[str, Any] = _catalog(self.account, name).get_collection(name)
        return document


def _catalog(account: Account, collection: str) -> SentinelHubCatalog:
    """The Catalog API that answers for a collection, to be used inside `Account.errors`."""
    catalog = SentinelHubCatalog(config=account.config(collection))
    catalog.client = account.client(collection)
    return catalog


def with_bands(feature: dict[str, Any], collection: Collection) -> dict[str, Any]:
    """A feature of the Catalog API as an item whose assets are the bands and the mask that the service computes."""
    properties = {key: value for key, value in feature["properties"].items() if value is not None}
    if "proj:epsg" in properties:
        properties.setdefault("proj:code", f"EPSG:{properties['proj:epsg']}")
    assets = {key: _asset(plane, collection) for key, plane in collection.planes_of(properties).items()}
    if thumbnail := feature.get("assets", {}).get("thumbnail"):
        assets["thumbnail"] = thumbnail
    own = {"collection": collection.name, "properties": properties, "assets": assets, "links": []}
    return {"type": "Feature", "stac_version": pystac.get_stac_version(), **feature, **own}


def _asset(plane: Plane, collection: Collection) -> dict[str, Any]:
    data_type = collection.sample_type.lower()
    described: dict[str, Any] = {"nodata": 0, "data_type": data_type, "spatial_resolution": plane.gsd}
    if not plane.codes:
        described |= {"scale": plane.scale, "offset": plane.offset}
    if plane.declared:
        described["unit"] = plane.declared
    return {
        "href": f"{SCHEME}{collection.name}#{plane.band}",
        "type": pystac.MediaType.GEOTIFF,
        "roles": ["data-mask"] if plane.codes else ["data"],
        "gsd": plane.gsd,
        "raster:bands": [described],
        "eo:bands": [{"name": plane.band} if plane.codes else {"name": plane.band, "common_name": plane.key}],
    }


def _interval(datetime: str) -> str:
    given = str(ItemSearch(url="", datetime=datetime).get_parameters()["datetime"])
    return given if "/" in given else f"{given}/{given}"
