"""How the files of a catalog are reached: resolved, signed, and only where they may lie."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tasks.core.errors import CatalogError, SceneError, UnreachableError
from tasks.earth import faults, sample_catalog, stores
from tasks.earth.catalog_params import CatalogParams
from tasks.earth.hosts import Hosts, own_host
from tasks.earth.http import MAX_WAIT, AnswerError, Http
from tasks.earth.sentinel_hub import SCHEME as SENTINEL_HUB
from tasks.earth.signing import BLOBS, Signer
from tasks.earth.static_catalog import FOLDER, folder_file
from tasks.earth.stores import Store


class AssetLike(Protocol):
    """What is known of an asset besides its href: `tasks.earth.raster.Asset` is one."""

    @property
    def href(self) -> str:
        """As recorded."""

    @property
    def requester_pays(self) -> bool:
        """Whether its store bills the reader."""

    @property
    def region(self) -> str | None:
        """Where its bucket lies, if its item says so."""


class Access:
    """The files of one catalog."""

    def __init__(
        self,
        name: str,
        params: CatalogParams,
        endpoints: sample_catalog.Endpoints | None = None,
        max_wait: float = MAX_WAIT,
    ) -> None:
        self.name = name
        self.params = params
        self._endpoints = endpoints
        self._max_wait = max_wait
        self._signer: Signer | None = None
        self._next = 0.0
        self._versions: dict[str, str | None] = {}
        self.frozen: Mapping[str, str] = {}
        """Versions of assets when the list of scenes was frozen, by href; one that has another now is refused."""
        self.hosts = Hosts(self._patterns(), f"catalogs.{name}.hosts")

    @property
    def remote(self) -> bool:
        """Whether its files lie on servers of others, and not in the embedded catalog or a folder."""
        return self._endpoints is None and self.params.url.startswith("http")

    @property
    def endpoints(self) -> sample_catalog.Endpoints | None:
        """Where the servers of an embedded catalog answer."""
        return self._endpoints

    @property
    def max_wait(self) -> float:
        """Seconds that one request waits in all between its tries."""
        return self._max_wait

    @property
    def url(self) -> str:
        """Root of the API."""
        return self._endpoints.api if self._endpoints else self.params.url

    def href(self, href: str) -> str:
        """What GDAL opens for a recorded href now: resolved, signed or `/vsis3/`, so ask just before the read.

        Raises:
            SceneError: it leads where this catalog's files may not lie; or it redirects there.
            UnreachableError: it cannot be signed just now.
        """
        url = self.address(href)
        if url.startswith("s3://"):
            return f"/vsis3/{url.removeprefix('s3://')}"
        if url.startswith("http") and not self._endpoints:
            self._inspect(href, url)
        return url

    def address(self, href: str) -> str:
        """The address of a recorded href, as `href`, with `s3://` as it is: what others than GDAL are given."""
        if href.startswith(sample_catalog.SCHEME):
            if self._endpoints is None:
                raise CatalogError(f"{href} belongs to the embedded catalog, but '{self.name}' is the one in use")
            return sample_catalog.resolve(href, self._endpoints)
        if href.startswith(FOLDER) and not self.params.url.startswith("http"):
            return str(folder_file(href, self.params.url))
        self.hosts.check(href)
        if self.params.sign == "planetary-computer":
            self._signer = self._signer or Signer(self._max_wait)
            return self._signer.sign(href)
        return href

    def vsi(self, href: str) -> str:
        """`href` for libraries that do not know what an address is, such as pyogrio: a path of GDAL's file systems."""
        url = self.href(href)
        return f"/vsicurl/{url}" if url.startswith("http") else url

    def version(self, href: str, store: Store | None = None, again: bool = False) -> str | None:
        """What the server says of the version of a recorded href's file: entity tag, time of change, length.

        None where it says nothing, or cannot be asked: then whether the file has changed is unknown. Asked once a
        run, or `again` where that gave nothing. No signature and no address is in it. Of bands that Sentinel Hub
        computes their name: the scene that they are computed from is a finished product.
        """
        if href.startswith(SENTINEL_HUB):
            return href
        if again and self._versions.get(href) is None:
            self._versions.pop(href, None)
        if href not in self._versions:
            try:
                url = self.address(href)
                if url.startswith("s3://"):
                    known = store or Store(self.params.s3_endpoint, self.params.s3_requester_pays)
                    self._versions[href] = stores.version(known, url)
                elif url.startswith("http"):
                    self._inspect(href, url)
                else:
                    status = Path(url).stat()
                    self._versions[href] = f"{status.st_mtime_ns} {status.st_size}"
            except (SceneError, UnreachableError, OSError):
                return None
        return self._versions[href]

    def content(self, asset: AssetLike, largest: int) -> bytes:
        """All bytes of a small file beside the pixels, such as an annotation.

        Raises:
            SceneError: unreadable, it is not there or has more than `largest` bytes; or it may not lie where it does.
            UnreachableError: the server does not give it just now.
        """
        url = self.address(asset.href)
        try:
            if url.startswith("s3://"):
                return stores.content(self.store(asset), url, largest)
            if url.startswith("http"):
                return self.http().content(url, largest=largest)
            if Path(url).stat().st_size > largest:
                raise ValueError(f"{asset.href} has more than {largest:,} bytes")
            return Path(url).read_bytes()
        except AnswerError as error:
            what = faults.redacted(f"{asset.href} cannot be read: {error}")
            if error.status in faults.GONE:
                raise SceneError("unreadable", what) from error
            raise UnreachableError(f"{what}. Run the same command again later") from error
        except (OSError, ValueError) as error:
            raise SceneError("unreadable", faults.redacted(f"{asset.href} cannot be read: {error}")) from error

    def store(self, asset: AssetLike) -> Store:
        """How an `s3://` asset is asked for."""
        pays = asset.requester_pays or self.params.s3_requester_pays
        return Store(self.params.s3_endpoint, pays, asset.region)

    def gdal_options(self, asset: AssetLike | None = None) -> dict[str, Any]:
        """What GDAL must know to read an asset.

        Raises:
            UnreachableError: its store bills the reader, and there are no credentials.
        """
        if asset is None or not asset.href.startswith("s3://"):
            return {}
        try:
            return self.store(asset).gdal_options()
        except UnreachableError as error:
            raise UnreachableError(f"{asset.href}: {error}") from error

    def http(self) -> Http:
        """A session with the catalog's servers that keeps to its rate and its hosts."""
        return Http(self.name, self.hosts, self._max_wait, self._throttle)

    def _patterns(self) -> tuple[str, ...]:
        """The hosts that this catalog's files may lie on."""
        own = []
        if self._endpoints:
            own += [own_host(self._endpoints.files), *filter(None, [own_host(self._endpoints.api)])]
        elif self.params.url.startswith("http"):
            own.append(own_host(self.params.url))
        if self.params.sign == "planetary-computer":
            own.append(BLOBS)
        if self.params.s3_endpoint or os.environ.get("AWS_S3_ENDPOINT"):
            own.append("s3://*")  # whatever the bucket, it is this store that is asked
        return (*own, *self.params.hosts) or ("none",)

    def _inspect(self, href: str, url: str) -> None:
        """Ask for the first byte once a run: GDAL follows redirects wherever they lead, so we look first.

        Raises:
            SceneError: a redirect leads where the catalog's files may not lie.
        """
        if href not in self._versions:
            self._versions[href] = faults.validators(faults.first_byte(url, self.hosts))

    def require_unchanged(self, asset: AssetLike) -> None:
        """Refuse an asset that is not the one that was frozen.

        Raises:
            SceneError: changed, its server says another version than when the list of scenes was frozen.
        """
        frozen = self.frozen.get(asset.href)
        now = self.version(asset.href, self.store(asset)) if frozen is not None else None
        if now is not None and now != frozen:
            raise SceneError(
                "changed",
                f"{faults.redacted(asset.href)} is not what it was when the scenes were frozen: then '{frozen}', now "
                f"'{now}'. To take it as it is now, freeze them again: `dvc repro --force --single-item` of the "
                "sensor's `scenes`",
            )

    def _throttle(self) -> None:
        """Wait until the catalog's rate allows the next request."""
        wait = self._next - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._next = time.monotonic() + 1 / self.params.requests_per_second
