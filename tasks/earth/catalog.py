"""A STAC catalog: search it, record what was found, and find the assets of recorded items when they are read."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pystac

from tasks.core.errors import CatalogError, SceneError, UnreachableError
from tasks.earth import faults, sample_catalog
from tasks.earth.access import Access
from tasks.earth.catalog_params import NUMBERS, CatalogParams, selected
from tasks.earth.conditions import Query, cloud_cover, meets
from tasks.earth.hosts import resolved
from tasks.earth.http import MAX_WAIT, AnswerError
from tasks.earth.item_checks import checked, shown_id
from tasks.earth.items import to_item
from tasks.earth.sentinel_hub import SOURCE as SENTINEL_HUB
from tasks.earth.stac_api import Feature, StacApi
from tasks.earth.static_catalog import StaticCatalog

if TYPE_CHECKING:
    from tasks.earth.sentinel_hub.account import Account

__all__ = ["Catalog", "CatalogParams", "Found", "Query", "open_catalog", "selected"]


@dataclass(frozen=True)
class Refused:
    """An item that a catalog gave and that cannot be worked with, or a page that could not be followed."""

    collection: str
    item_id: str
    reason: str
    detail: str


@dataclass
class Found:
    """What a search came back with."""

    items: list[pystac.Item] = field(default_factory=list)
    """Those that meet the query, each once, ordered by id."""
    refused: list[Refused] = field(default_factory=list)
    """Those that are malformed, and where a server's pages went wrong."""


class Source(Protocol):
    """A STAC API, or a static catalog."""

    notes: list[str]

    def features(self, query: Query) -> Iterator[Feature]:
        """Items as JSON, each once, and where their relative hrefs start."""

    def collections(self) -> list[str]:
        """Names of all collections."""

    def collection(self, name: str) -> dict[str, Any] | None:
        """The document of one."""


class Catalog(Access):
    """An open catalog. Comes from `open_catalog`."""

    _source: Source | None = None

    @cached_property
    def account(self) -> "Account":
        """The account at Sentinel Hub, of presets with that source.

        Raises:
            CatalogError: the environment holds no credentials.
        """
        from tasks.earth.sentinel_hub.account import Patience, open_account

        patience = Patience(longest_wait=self._max_wait, per_second=self.params.requests_per_second)
        return open_account(self.params.url, self.params.token_url, self.params.deployments, patience)

    def described(self, collections: Mapping[str, Any], name: str | None) -> dict[str, Any]:
        """The document of a collection, with what params.yaml says of its numbers."""
        numbers = self.params.numbers.get(str(name))
        own = {NUMBERS: numbers.model_dump(exclude_none=True)} if numbers else {}
        return {**collections.get(str(name), {}), **own}

    def search(self, query: Query, limit: int) -> list[pystac.Item]:
        """Items that meet `query`; `find` says what else came."""
        return self.find(query, limit).items

    def find(self, query: Query, limit: int) -> Found:
        """Items that meet `query`, ordered by id, with hrefs that do not depend on this run, and what was refused.

        Raises:
            CatalogError: the API cannot be reached, or answers with an error; or more than `limit` items meet the
                query, so that some would be lost.
        """
        found = Found()
        for item in self._matching(query, found.refused):
            if len(found.items) == limit:
                raise CatalogError(
                    f"more than {limit} items of '{query.collection}' in {list(query.bbox or [])}; raise "
                    "scenes.max_items, or ask for a smaller area or time"
                )
            found.items.append(item)
        found.items.sort(key=lambda item: item.id)
        return found

    def matched(self, query: Query) -> int | None:
        """How many items the catalog says that meet a query, of any cloud; None where it does not count them.

        Raises:
            CatalogError: it cannot be reached, or answers with an error.
        """
        with self._errors(query.collection):
            source = self._open()
            return source.matched(query) if isinstance(source, StacApi) else None

    def first(self, query: Query, count: int) -> list[pystac.Item]:
        """Up to `count` items that meet `query`, the first that come, to see whether there are any."""
        return list(islice(self._matching(query, []), count))

    def collection(self, name: str) -> dict[str, Any] | None:
        """The document of a collection, of its links those of licence and citation; None if there is none."""
        with self._errors(name):
            document = self._open().collection(name)
        if not document:
            return None
        links = [link for link in document.get("links") or [] if isinstance(link, dict)]
        return {**document, "links": [link for link in links if link.get("rel") in ("license", "cite-as")]}

    def explain_nothing(self, query: Query) -> str:
        """Which condition of a query without results emptied it, found by relaxing them one after the other."""
        refused: list[Refused] = []
        something = any(self._matching(Query(query.collection, None, None, None), refused))
        broken = f"; {len(refused)} that came cannot be used, such as: {refused[0].detail}" if refused else ""
        if not something:
            with self._errors(query.collection):
                known = self._open().collections()
            if query.collection not in known:
                has = f"it has: {', '.join(known)}" if known else "it has none"
                return f"the catalog has no collection '{query.collection}'; {has}{broken}"
            return f"collection '{query.collection}' is empty{broken}"
        steps = {
            "its area": Query(query.collection, query.bbox, None, None),
            "its dates": Query(query.collection, query.bbox, query.datetime, None),
        }
        for condition, relaxed in steps.items():
            if not any(self._matching(relaxed, [])):
                value = list(query.bbox or []) if condition == "its area" else query.datetime
                return f"collection '{query.collection}' has items, but none within {condition} ({value}){broken}"
        clouds = [cloud_cover(item.to_dict()) for item in self.first(replace(query, max_cloud=None), 1000)]
        clearest = min((cloud for cloud in clouds if cloud is not None), default=None)
        return (
            f"collection '{query.collection}' has items there and then, but none with at most "
            f"{query.max_cloud} % cloud (the clearest has {clearest} %)"
        )

    def _matching(self, query: Query, refused: list[Refused]) -> Iterator[pystac.Item]:
        """Items that meet `query` as they come, each recorded and once."""
        seen = set()
        with self._errors(query.collection):
            source = self._open()
            source.notes.clear()
            for feature, base in source.features(query):
                named = feature.get("collection") if isinstance(feature, dict) else None
                if isinstance(named, str) and named != query.collection:
                    continue  # of another collection, which the server was not asked for
                try:
                    if not meets(checked(feature, query.collection), query) or feature["id"] in seen:
                        continue
                except SceneError as error:
                    row = Refused(query.collection, shown_id(feature), error.reason, faults.redacted(str(error)))
                    if row not in refused:
                        refused.append(row)
                    continue
                seen.add(feature["id"])
                yield self._recorded(feature, base)
            refused += [Refused(query.collection, "", "repeated-page", note) for note in source.notes]

    def _open(self) -> Source:
        if self._source is None and self.params.source == SENTINEL_HUB:
            from tasks.earth.sentinel_hub.search import SentinelHubSource  # here, for its package takes a second

            self._source = SentinelHubSource(self.account)
        if self._source is None:
            http = self.http()
            if not self.url.startswith("http"):
                self._source = StaticCatalog(self.url, None)
            else:
                landing = http.json(self.url)
                if not isinstance(landing, dict) or not landing.get("links"):
                    raise AnswerError(200, "its root is not a STAC catalog: it has no links")
                serves = StacApi.serves(landing)
                self._source = StacApi(self.url, landing, http) if serves else StaticCatalog(self.url, http)
        return self._source

    @contextmanager
    def _errors(self, collection: str) -> Iterator[None]:
        try:
            yield
        except (AnswerError, UnreachableError, SceneError) as error:
            raise CatalogError(
                f"catalog '{self.name}' at {self.params.url} failed on collection '{collection}': "
                f"{error}. Is the address right and the network up? Another catalog can be chosen "
                "by `catalog:` in params.yaml."
            ) from error

    def _recorded(self, document: dict[str, Any], base: str) -> pystac.Item:
        """The item without links and with hrefs that stay true after this run."""
        assets = {key: {**asset, "href": self._recorded_href(asset, base)} for key, asset in document["assets"].items()}
        return to_item({**document, "links": [], "assets": assets})

    def _recorded_href(self, asset: dict[str, Any], base: str) -> str:
        href = resolved(asset["href"], base)
        if self._endpoints:
            return sample_catalog.freeze(href, self._endpoints)
        alternate = asset.get("alternate")
        s3 = alternate.get("s3") if isinstance(alternate, dict) else None
        if self.params.sign == "s3" and isinstance(s3, dict) and isinstance(s3.get("href"), str):
            return str(s3["href"])
        return href


@contextmanager
def open_catalog(search: bool = False, max_wait: float = MAX_WAIT, name: str | None = None) -> Iterator[Catalog]:
    """The catalog that params.yaml chooses, its embedded servers running if it has any.

    Args:
        search: whether it will be searched; to read assets, an embedded catalog needs no API.
        max_wait: seconds that one request waits in all between its tries.
        name: of another preset than the one chosen.
    """
    name, params = selected(name)
    with ExitStack() as stack:
        endpoints = None
        if params.url.startswith(sample_catalog.SCHEME):
            folder = Path(params.url.removeprefix(sample_catalog.SCHEME))
            endpoints = stack.enter_context(sample_catalog.serve(folder, search=search))
        yield Catalog(name, params, endpoints, max_wait)
