"""Where a catalog may send us: its own host, and those that its preset names. Nothing else is asked, for nothing.

What a remote catalog writes into an href, a `next` link, a redirect or a preview is a stranger's text. It may name a
file of this machine, a metadata address inside a cloud, or somebody else's server.
"""

import posixpath
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urljoin, urlsplit

from tasks.core.errors import SceneError

_SCHEMES = {"http", "https", "s3"}
_PATHS = re.compile(r"s3://[^/]+/|folder:")
_RELATIVE = re.compile(r"(?![a-zA-Z][a-zA-Z0-9+.-]*:)(?!/)[^\\]+")


@dataclass(frozen=True)
class Hosts:
    """An allow-list: `host`, `host:port`, `*.host` or `s3://bucket`, each with `*` for any part of a name."""

    patterns: tuple[str, ...]
    setting: str
    """The parameter that adds to it, for the message."""

    def check(self, url: str) -> str:
        """`url`, if it leads where it may.

        Raises:
            SceneError: it does not; the message names the host and the parameter.
        """
        parts = self._parts(url)
        name = f"s3://{parts.netloc}" if parts.scheme == "s3" else _host(parts)
        if not any(fnmatchcase(name, pattern) for pattern in self.patterns):
            raise SceneError(
                "foreign-host",
                f"{name} is none of the hosts that this catalog's files may lie on "
                f"({', '.join(self.patterns)}); add it to {self.setting} in params.yaml if you trust it",
            )
        return url

    def _parts(self, url: str) -> SplitResult:
        shown = shown_href(url)
        if re.search(r"[\x00-\x20\x7f\\]", url):
            raise SceneError("foreign-host", f"'{shown}' is no address: it holds a space or a control character")
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise SceneError("foreign-host", f"'{shown}' is no address: {error}") from error
        if parts.scheme not in _SCHEMES or not parts.hostname or url.startswith("/"):
            raise SceneError(
                "foreign-host", f"a remote catalog names remote files only (https or s3), and '{shown}' is not one"
            )
        if parts.username is not None or parts.password is not None:
            raise SceneError("foreign-host", f"'{parts.hostname}' is named with a user or password in the address")
        return parts


def own_host(url: str) -> str:
    """The pattern of the host that `url` lies on; the port counts where it is written."""
    return _host(urlsplit(url))


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def resolved(href: str, base: str) -> str:
    """An href as it is, or relative to the document at `base`; an absolute path is left as it is, to be refused."""
    if not _RELATIVE.fullmatch(href):
        return href
    if own := _PATHS.match(base):  # schemes that urljoin does not know
        path = posixpath.normpath(posixpath.join(posixpath.dirname(base[own.end() :]), href))
        return own[0] + (re.sub(r"^(\.\./)+", "", path) if own[0].startswith("s3") else path)
    return urljoin(base, href)


def shown_href(href: str) -> str:
    """An href for a message: without its query, control characters written out, cut to a length that can be read."""
    return href.partition("?")[0][:200].encode("unicode_escape").decode("ascii")
