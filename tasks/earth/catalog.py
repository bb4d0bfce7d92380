"""A STAC catalog: search it, record what was found, and find the assets of recorded items when they are read."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pystac
import requests
from pydantic import Field
from pystac_client import Client, ConformanceClasses
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from urllib3 import Retry

from tasks.core.errors import CatalogError, ParamsError
from tasks.core.section import Section, load, read_params
from tasks.earth import faults, sample_catalog

logger = logging.getLogger(__name__)


class CatalogParams(Section):
    """One preset under `catalogs:` in params.yaml."""

    url: str = Field(description="root of the STAC API; `embedded:<folder>` serves a folder on loopback")
    collections: dict[str, list[str]] = Field(description="collections to search, by sensor")
    labels: list[str] = Field(description="collections whose items are label sources")
    sign: Literal["none", "embedded", "planetary-computer", "s3"] = Field(description="how assets are reached")
    requests_per_second: float = Field(gt=0, description="what the catalog's operator tolerates")
    source: Literal["stac", "sentinel-hub"] = Field(
        "stac", description="whose API it is; sentinel-hub computes pixels for an account: docs/how-to/sentinel-hub.md"
    )
    token_url: str | None = Field(None, description="of Sentinel Hub: where the account's credentials get a token")
    deployments: dict[str, str] = Field(
        {}, description="of Sentinel Hub: root of the deployment that holds a collection, where it is not `url`"
    )
    s3_endpoint: str | None = Field(None, description="host of the object store, where it is not AWS")
    s3_requester_pays: bool = Field(False, description="whether reads are billed to the reader")


def selected() -> tuple[str, CatalogParams]:
    """The catalog that params.yaml chooses, with its name.

    Raises:
        ParamsError: it is not one of the presets.
    """
    values = read_params()
    name = values.get("catalog")
    if name not in values.get("catalogs", {}):
        allowed = ", ".join(sorted(values.get("catalogs", {})))
        raise ParamsError(f"params.yaml: 'catalog' is {name!r}; the presets under 'catalogs' are: {allowed}")
    return str(name), load(CatalogParams, f"catalogs.{name}")


@dataclass(frozen=True)
class Query:
    """What is asked for in one collection. A condition that is None is not asked."""

    collection: str
    bbox: Sequence[float] | None
    datetime: str | None
    max_cloud: float | None


class Catalog:
    """An open catalog. Comes from `open_catalog`."""

    def __init__(self, name: str, params: CatalogParams, endpoints: sample_catalog.Endpoints | None) -> None:
        self.name = name
        self.params = params
        self._endpoints = endpoints
        self._client: Client | None = None
        self._next = 0.0
        self._versions: dict[str, str | None] = {}

    @property
    def url(self) -> str:
        """Root of the API."""
        return self._endpoints.api if self._endpoints else self.params.url

    def search(self, query: Query, limit: int) -> list[pystac.Item]:
        """Items that meet `query`, ordered by id, with hrefs that do not depend on this run.

        The server is asked for what it says it can do; every condition is then applied here as well, because
        servers exist that ignore one, or answer a filter they do not know with nothing.

        Raises:
            CatalogError: the API cannot be reached, or answers with an error.
        """
        with self._errors(query.collection):
            client = self._open()
            server_side: dict[str, Any] = (
                {"query": {"eo:cloud_cover": {"lte": query.max_cloud}}}
                if query.max_cloud is not None and client.conforms_to(ConformanceClasses.QUERY)
                else {}
            )
            search = client.search(
                collections=[query.collection],
                bbox=list(query.bbox) if query.bbox else None,
                datetime=query.datetime,
                max_items=limit,
                limit=min(limit, 100),
                **server_side,
            )
            found = [item for item in search.items() if meets(item, query)]
        return sorted((self._freeze(item) for item in found), key=lambda item: item.id)

    def explain_nothing(self, query: Query) -> str:
        """Which condition of a query without results emptied it, found by relaxing them one after the other."""
        with self._errors(query.collection):
            known = sorted(collection.id for collection in self._open().get_collections())
        if query.collection not in known:
            return f"the catalog has no collection '{query.collection}'; it has: {', '.join(known)}"
        steps = {
            "its area": Query(query.collection, query.bbox, None, None),
            "its dates": Query(query.collection, query.bbox, query.datetime, None),
        }
        if not self.search(Query(query.collection, None, None, None), 1):
            return f"collection '{query.collection}' is empty"
        for condition, relaxed in steps.items():
            if not self.search(relaxed, 1):
                value = list(query.bbox or []) if condition == "its area" else query.datetime
                return f"collection '{query.collection}' has items, but none within {condition} ({value})"
        clouds = [i.properties.get("eo:cloud_cover") for i in self.search(replace(query, max_cloud=None), 100)]
        clearest = min((cloud for cloud in clouds if cloud is not None), default=None)
        return (
            f"collection '{query.collection}' has items there and then, but none with at most "
            f"{query.max_cloud} % cloud (the clearest has {clearest} %)"
        )

    def href(self, href: str) -> str:
        """The URL that answers for a recorded href now: resolved or signed, so ask just before the read."""
        if href.startswith(sample_catalog.SCHEME):
            if self._endpoints is None:
                raise CatalogError(f"{href} belongs to the embedded catalog, but '{self.name}' is the one in use")
            return sample_catalog.resolve(href, self._endpoints)
        if self.params.sign == "planetary-computer":
            import planetary_computer

            return str(planetary_computer.sign_url(href))
        return href

    def version(self, href: str) -> str | None:
        """What the server says of the version of a recorded href's file, asked once a run; see `faults.version`."""
        if href not in self._versions:
            self._versions[href] = faults.version(self.href(href))
        return self._versions[href]

    def gdal_options(self) -> dict[str, Any]:
        """What GDAL must know to read this catalog's assets."""
        options: dict[str, Any] = {}
        if self.params.s3_endpoint:
            options |= {"AWS_S3_ENDPOINT": self.params.s3_endpoint, "AWS_VIRTUAL_HOSTING": False}
        if self.params.s3_requester_pays:
            options |= {"AWS_REQUEST_PAYER": "requester"}
        return options

    def _open(self) -> Client:
        if self._client is None:
            retry = Retry(
                total=5,
                backoff_factor=0.5,
                status_forcelist=[429, 502, 503, 504],
                allowed_methods=None,
                respect_retry_after_header=True,
                raise_on_status=False,
            )
            stac_io = StacApiIO(max_retries=retry, timeout=30)
            self._client = Client.open(self.url, stac_io=stac_io, request_modifier=self._throttle)
        return self._client

    def _throttle(self, request: requests.Request) -> None:
        """Wait until the catalog's rate allows the next request."""
        wait = self._next - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._next = time.monotonic() + 1 / self.params.requests_per_second

    @contextmanager
    def _errors(self, collection: str) -> Iterator[None]:
        try:
            yield
        except (requests.RequestException, APIError, OSError, ValueError, KeyError, pystac.STACError) as error:
            raise CatalogError(
                f"catalog '{self.name}' at {self.params.url} failed on collection '{collection}': "
                f"{_cause(error)}. Is the address right and the network up? Another catalog can be chosen "
                "by `catalog:` in params.yaml."
            ) from error

    def _freeze(self, item: pystac.Item) -> pystac.Item:
        """A copy without links and with hrefs that stay true after this run."""
        recorded = item.clone()
        recorded.clear_links()
        for asset in recorded.assets.values():
            alternate = asset.extra_fields.get("alternate", {}).get("s3", {}).get("href")
            if self._endpoints:
                asset.href = sample_catalog.freeze(asset.href, self._endpoints)
            elif self.params.sign == "s3" and alternate:
                asset.href = alternate
        return recorded


@contextmanager
def open_catalog(search: bool = False) -> Iterator[Catalog]:
    """The catalog that params.yaml chooses, its embedded servers running if it has any.

    Args:
        search: whether it will be searched; to read assets, an embedded catalog needs no API.
    """
    name, params = selected()
    with ExitStack() as stack:
        endpoints = None
        if params.url.startswith(sample_catalog.SCHEME):
            folder = Path(params.url.removeprefix(sample_catalog.SCHEME))
            endpoints = stack.enter_context(sample_catalog.serve(folder, search=search))
        yield Catalog(name, params, endpoints)


def meets(item: pystac.Item, query: Query) -> bool:
    """Whether an item meets every condition of a query, whatever the server made of them."""
    if item.collection_id != query.collection:
        return False
    if query.bbox and not (item.bbox and _overlap(item.bbox, query.bbox)):
        return False
    if query.datetime:
        start, end = _interval(query.datetime)
        when = item.datetime or item.common_metadata.start_datetime
        if when is None or not start <= _utc(when) <= end:
            return False
    cloud = item.properties.get("eo:cloud_cover")
    return query.max_cloud is None or (cloud is not None and cloud <= query.max_cloud)


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    a = [a[0], a[1], a[-2], a[-1]] if len(a) == 4 else [a[0], a[1], a[3], a[4]]
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _interval(text: str) -> tuple[datetime, datetime]:
    start, _, end = text.partition("/")
    earliest, latest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    first = _utc(datetime.fromisoformat(start)) if start not in ("", "..") else earliest
    return first, _utc(datetime.fromisoformat(end)) if end not in ("", "..") else latest


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _cause(error: BaseException) -> str:
    """The innermost reason in one line: libraries wrap `connection refused` in four layers."""
    while error.__cause__ is not None:
        error = error.__cause__
    reason = getattr(error, "reason", None)
    return f"{type(error).__name__}: {reason or error}".splitlines()[0][:300]
