"""A static catalog: JSON documents that link to one another, at a URL or in a folder of this machine.

There is no search: all documents that hang together are read, collections that are not asked for left out where the
links say what they lead to, and the conditions applied afterwards. Bounded, since the links are a stranger's.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

from tasks.core.errors import CatalogError, SceneError
from tasks.earth.conditions import Query
from tasks.earth.hosts import shown_href
from tasks.earth.http import AnswerError, Http
from tasks.earth.stac_api import Feature, Unreadable

FOLDER = "folder:"
"""Scheme of a recorded href that lies in the folder of a static catalog: relative to it, whatever machine it is on."""
MOST_DOCUMENTS = 100_000
DEEPEST = 20
"""Links from the root to an item."""


class StaticCatalog:
    """The documents below `root`, read once."""

    def __init__(self, root: str, http: Http | None) -> None:
        self._http = http
        self._root = root if http else f"{FOLDER}{_root_file(root).name}"
        self._folder = None if http else _root_file(root).parent.resolve()
        self._found: list[Feature] | None = None
        self._collections: dict[str, dict[str, Any]] = {}
        self.notes: list[str] = []

    def features(self, query: Query) -> Iterator[Feature]:
        """All items; `query` is applied by the caller.

        Raises:
            CatalogError: the documents never end.
            AnswerError, UnreachableError: a document cannot be read.
        """
        yield from self._all()

    def collections(self) -> list[str]:
        """Names of all collections, also of those that only items name."""
        items = [item for item, _ in self._all() if isinstance(item, dict)]
        return sorted({*self._collections, *(str(item["collection"]) for item in items if item.get("collection"))})

    def collection(self, name: str) -> dict[str, Any] | None:
        """The document of a collection."""
        self._all()
        return self._collections.get(name)

    def _all(self) -> list[Feature]:
        if self._found is None:
            self._found = list(self._walk())
        return self._found

    def _walk(self) -> Iterator[Feature]:
        waiting: list[tuple[str, str | None, int]] = [(self._root, None, 0)]
        seen = {self._root}
        items = set()
        while waiting:
            href, collection, depth = waiting.pop()
            document = self._read(href, strict=depth == 0)
            kind = document.get("type") if isinstance(document, dict) else None
            if kind == "Feature":
                own = {**document, "collection": document.get("collection") or collection}
                if (own["collection"], own.get("id")) not in items:
                    items.add((own["collection"], str(own.get("id"))))
                    yield own, href
                continue
            if not isinstance(document, dict) or kind not in ("Catalog", "Collection"):
                yield document, href
                continue
            if kind == "Collection" and isinstance(document.get("id"), str):
                collection = document["id"]
                self._collections[collection] = document
            for link in reversed(document.get("links") or []):
                if not isinstance(link, dict) or link.get("rel") not in ("item", "child"):
                    continue
                target = self._resolved(str(link.get("href")), href)
                if target not in seen:
                    seen.add(target)
                    waiting.append((target, collection, depth + 1))
            if len(seen) > MOST_DOCUMENTS or depth > DEEPEST:
                raise CatalogError(
                    f"the static catalog holds more than {MOST_DOCUMENTS:,} documents, or links {DEEPEST} deep; name a "
                    "part of it as its url"
                )

    def _read(self, href: str, strict: bool) -> Any:
        """A document; what stands in the place of one that is gone or no JSON, if not `strict`, is its address."""
        try:
            if self._http:
                return self._http.json(href)
            return json.loads(folder_path(href, self._folder or Path()).read_text())
        except (AnswerError, SceneError, OSError, ValueError, RecursionError) as error:
            gone = isinstance(error, AnswerError) and error.status not in (200, 404, 410)
            if strict or gone:
                raise AnswerError(getattr(error, "status", 404), f"{shown_href(href)}: {error}") from error
            return Unreadable(f"{shown_href(href)}: {error}")

    def _resolved(self, href: str, base: str) -> str:
        if self._http or "://" in href:
            return urljoin(base, href)
        return FOLDER + urljoin(base.removeprefix(FOLDER), href)


def folder_file(href: str, url: str) -> Path:
    """The file of a recorded href in the folder of a static catalog.

    Raises:
        SceneError: it leads out of the folder.
    """
    return folder_path(href, _root_file(url).parent.resolve())


def folder_path(href: str, folder: Path) -> Path:
    """The file that `folder:<path>` names below `folder`; raises as `folder_file`."""
    path = (folder / href.removeprefix(FOLDER)).resolve()
    if not href.startswith(FOLDER) or not path.is_relative_to(folder):
        raise SceneError("foreign-host", f"'{shown_href(href)}' does not lie in the catalog's folder")
    return path


def _root_file(url: str) -> Path:
    """The document that a static catalog in a folder begins with."""
    path = Path(url2pathname(urlsplit(url).path) if url.startswith("file:") else url)
    for candidate in (path, path / "catalog.json", path / "collection.json"):
        if candidate.is_file():
            return candidate
    raise CatalogError(f"{path} is neither a STAC document nor a folder with a catalog.json or collection.json")
