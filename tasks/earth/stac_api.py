"""Search a STAC API, page by page, whatever habits its server has.

pystac-client writes the parameters; the pages are followed here, because its paging cannot be resumed after a
failure, stops at the first empty page, sends the headers that a server asks for, and turns for ever where a page
leads back to itself.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit, urlunsplit

from tasks.core.errors import CatalogError
from tasks.earth.conditions import Query, server_interval
from tasks.earth.http import TRIES, AnswerError, Http

logger = logging.getLogger(__name__)
PAGE = 100
"""Items asked for at once; halved where a server fails at that."""
SMALLEST_PAGE = 1
MOST_ITEMS = 200_000
"""Items looked at for one query: a server that ignores the box would hand out its whole archive."""
EMPTY_PAGES = 5
"""Pages in a row without an item that was not there before."""
Feature = tuple[Any, str]
"""An item as JSON, not checked yet, and the address that its relative hrefs start from."""


@dataclass(frozen=True)
class _Request:
    url: str
    method: str
    body: Mapping[str, Any] | None

    def sized(self, limit: int) -> "_Request":
        """The same request for pages of `limit` items at most."""
        if self.body is not None:
            return replace(self, body={**self.body, "limit": limit})
        parts = urlsplit(self.url)
        query = parse_qs(parts.query, keep_blank_values=True) | {"limit": [str(limit)]}
        return replace(self, url=urlunsplit(parts._replace(query=urlencode(query, doseq=True))))

    @property
    def key(self) -> str:
        """What makes it the same request, whatever the size of its pages."""
        same = self.sized(0)
        return json.dumps([same.url, same.method, same.body], sort_keys=True)


class Unreadable(str):
    """What stands in the place of an item that could not be read: why."""


class StacApi:
    """An API with a search endpoint."""

    def __init__(self, url: str, landing: Mapping[str, Any], http: Http) -> None:
        self.url = url
        self._links = [link for link in landing.get("links") or [] if isinstance(link, dict)]
        self._http = http
        self._size = PAGE
        self.notes: list[str] = []
        """What a server did that may concern the result, in words."""

    @staticmethod
    def serves(landing: Mapping[str, Any]) -> bool:
        """Whether a landing page is that of an API with search, and not a static catalog's."""
        return any(isinstance(link, dict) and link.get("rel") == "search" for link in landing.get("links") or [])

    def features(self, query: Query) -> Iterator[Feature]:
        """Items of the pages that answer a query, each once by collection and id, as the server gives them.

        The cloud is not asked of the server: an item that does not say how cloudy it is would not come.

        Raises:
            AnswerError, UnreachableError: a page is refused, or does not come, after all tries.
            CatalogError: the pages lead back to themselves before all items came, or never end.
        """
        request: _Request | None = self._first(query)
        seen, asked = set[str](), set[str]()
        empty, matched = 0, None
        while request is not None:
            asked.add(request.key)
            page = self._page(request)
            matched = _matched(page, matched)
            new = 0
            for feature in page.get("features") or []:
                key = _key(feature)
                if key not in seen:
                    seen.add(key)
                    new += 1
                    yield feature, _self_link(feature, request.url)
            if len(seen) > MOST_ITEMS:
                raise CatalogError(
                    f"the server gave more than {MOST_ITEMS:,} items of '{query.collection}' and goes on; does it "
                    "ignore the box and the dates? Ask for a smaller area or time"
                )
            empty = 0 if new else empty + 1
            request = self._next(page, request)
            if request is not None and (request.key in asked or empty >= EMPTY_PAGES):
                self._repeats(query, len(seen), matched)
                return

    def matched(self, query: Query) -> int | None:
        """How many items the server says that a query has; None where it does not count them."""
        request = self._first(query).sized(1)
        page = self._http.json(request.url, request.method, request.body)
        return _matched(page, None) if isinstance(page, dict) else None

    def collections(self) -> list[str]:
        """Names of all collections, in order."""
        request: _Request | None = _Request(self._link("data") or f"{self.url}/collections", "GET", None)
        names, asked = set[str](), set[str]()
        while request is not None and request.key not in asked:
            asked.add(request.key)
            page = self._http.json(request.url)
            names |= {str(one.get("id")) for one in page.get("collections") or [] if isinstance(one, dict)}
            request = self._next(page, request)
        return sorted(names)

    def collection(self, name: str) -> dict[str, Any] | None:
        """The document of a collection; None if the server has none."""
        base = (self._link("data") or f"{self.url}/collections").partition("?")[0].rstrip("/")
        try:
            document = self._http.json(f"{base}/{name}")
        except AnswerError:
            return None
        return document if isinstance(document, dict) and document.get("type") == "Collection" else None

    def _first(self, query: Query) -> _Request:
        from pystac_client import ItemSearch  # here, for it brings a JSON Schema validator that no other stage needs

        links = [link for link in self._links if link.get("rel") == "search" and isinstance(link.get("href"), str)]
        methods = {str(link.get("method") or "GET").upper(): link["href"] for link in links}
        method = "POST" if "POST" in methods else "GET"
        url = urljoin(self.url + "/", methods.get(method) or links[0]["href"])
        search = ItemSearch(
            url,
            method=method,
            collections=[query.collection],
            bbox=list(query.bbox) if query.bbox else None,
            datetime=server_interval(query.datetime) if query.datetime else None,
            limit=self._size,
        )
        parameters = search.get_parameters()
        if method == "POST":
            return _Request(url, method, parameters)
        joiner = "&" if urlsplit(url).query else "?"
        return _Request(f"{url}{joiner}{urlencode(parameters)}", method, None)

    def _page(self, request: _Request) -> dict[str, Any]:
        """One page; where the server fails at its size, in smaller ones from then on."""
        while True:
            try:
                sized = request.sized(self._size)
                tries = 2 if self._size > SMALLEST_PAGE else TRIES
                page = self._http.json(sized.url, sized.method, sized.body, server_errors=tries)
                break
            except AnswerError as error:
                # 200: a body that is too long, or cut in a way that its JSON shows.
                if self._size <= SMALLEST_PAGE or not (error.status >= 500 or error.status in (200, 413)):
                    raise
                self._size = max(self._size // 2, SMALLEST_PAGE)
                logger.warning(
                    "%s: a page failed (%s); asking for %d items at a time", self._http.name, error, self._size
                )
        if not isinstance(page, dict) or not isinstance(page.get("features", []), list):
            raise AnswerError(200, "the answer to a search is no collection of items")
        return page

    def _next(self, page: Mapping[str, Any], request: _Request) -> _Request | None:
        links = [link for link in page.get("links") or [] if isinstance(link, dict) and link.get("rel") == "next"]
        if not links or not isinstance(links[0].get("href"), str):
            return None
        link, url = links[0], urljoin(request.url, links[0]["href"])
        if str(link.get("method") or "GET").upper() != "POST":
            return _Request(url, "GET", None)
        given = link.get("body")
        body: dict[str, Any] = given if isinstance(given, dict) else {}
        return _Request(url, "POST", {**(request.body or {}), **body} if link.get("merge") else body)

    def _repeats(self, query: Query, count: int, matched: int | None) -> None:
        if matched is not None and matched > count:
            raise CatalogError(
                f"the pages of '{query.collection}' lead back to themselves after {count} of {matched} items; ask for "
                "a smaller area or time, so that they fit on fewer pages"
            )
        self.notes.append(
            f"the pages of '{query.collection}' lead back to themselves; stopped after {count} different items"
        )
        logger.warning("%s: %s", self._http.name, self.notes[-1])

    def _link(self, relation: str) -> str | None:
        found = (link["href"] for link in self._links if link.get("rel") == relation and isinstance(link["href"], str))
        href = next(found, None)
        return urljoin(self.url + "/", href) if href else None


def _key(feature: Any) -> str:
    if isinstance(feature, dict) and isinstance(feature.get("id"), str):
        return json.dumps([feature.get("collection"), feature["id"]])
    return json.dumps(feature, sort_keys=True)


def _matched(page: Mapping[str, Any], before: int | None) -> int | None:
    context = page.get("context")
    number = page.get("numberMatched", context.get("matched") if isinstance(context, dict) else None)
    return number if isinstance(number, int) else before


def _self_link(feature: Any, page: str) -> str:
    """Where an item's relative hrefs start: its own address, or that of the page it came on."""
    links = feature.get("links") if isinstance(feature, dict) else None
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "self" and re.match(r"https?://", str(link.get("href"))):
            return str(link["href"])
    return page.partition("?")[0]
