"""Object stores: what GDAL is to know to read an `s3://` file, and what the store says of it."""

import configparser
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac

from tasks.core.errors import UnreachableError

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
"""Variables any of which says that this machine has an account at a store; a file of credentials does too."""


@dataclass(frozen=True)
class Store:
    """How objects of one store are asked for; None is what the environment or the store's default says."""

    endpoint: str | None = None
    """Host, and port if it is not the usual one, of a store that is not AWS."""
    requester_pays: bool = False
    region: str | None = None

    def gdal_options(self) -> dict[str, Any]:
        """Options of /vsis3/ for a read.

        Raises:
            UnreachableError: the reader pays, and there are no credentials to pay with.
        """
        options: dict[str, Any] = {}
        if self.endpoint:
            options |= {"AWS_S3_ENDPOINT": self.endpoint, "AWS_VIRTUAL_HOSTING": "FALSE"}
        if self.region:
            options["AWS_REGION"] = self.region
        if self.requester_pays:
            options["AWS_REQUEST_PAYER"] = "requester"
        if _credentials_file().is_file():
            options["CPL_AWS_CREDENTIALS_FILE"] = str(_credentials_file())
        if not has_credentials():
            if self.requester_pays:
                raise UnreachableError(NO_CREDENTIALS)
            # Unsigned, and so without a question to the metadata address of a cloud, which elsewhere is answered late.
            options["AWS_NO_SIGN_REQUEST"] = "YES"
        return options

    def open(self, bucket: str) -> Any:
        """An `obstore` client of a bucket."""
        from obstore.store import S3Store  # here, for most runs ask no object store

        scheme = "http" if os.environ.get("AWS_HTTPS", "").upper() in ("NO", "FALSE", "OFF") else "https"
        endpoint = self.endpoint or os.environ.get("AWS_S3_ENDPOINT")
        config: dict[str, Any] = {
            "skip_signature": not has_credentials(),
            **_of_profile(),
            "request_payer": self.requester_pays,
            "region": self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        }
        if endpoint:
            config["endpoint"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        return S3Store(
            bucket,
            config={key: value for key, value in config.items() if value is not None},  # type: ignore[arg-type]
            client_options={"allow_http": scheme == "http", "timeout": "30s", "connect_timeout": "10s"},
            retry_config={"max_retries": 2},
        )


def active() -> Store:
    """The store that the GDAL options in force describe, for a question about a read that has just failed."""
    from rasterio.env import getenv, hasenv

    options = getenv() if hasenv() else {}
    pays = options.get("AWS_REQUEST_PAYER") == "requester"
    return Store(options.get("AWS_S3_ENDPOINT"), pays, options.get("AWS_REGION"))


NO_CREDENTIALS = (
    "its store bills reads to the reader, and there are no credentials here: set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), see `earthloom catalog probe`"
)


def has_credentials() -> bool:
    """Whether the environment or a file of credentials names an account."""
    return any(os.environ.get(name) for name in CREDENTIALS) or _credentials_file().is_file()


def _credentials_file() -> Path:
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", Path.home() / ".aws" / "credentials"))


def _of_profile() -> dict[str, str]:
    """Keys of the profile in force, for obstore: GDAL reads the file by itself."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(_credentials_file())
        profile = file[os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"]
    except (configparser.Error, KeyError, UnicodeDecodeError):
        return {}
    wanted = {"aws_access_key_id": "access_key_id", "aws_secret_access_key": "secret_access_key"}
    wanted["aws_session_token"] = "session_token"
    return {wanted[name]: profile[name] for name in wanted if name in profile}


def store_of(
    item: pystac.Item, asset: pystac.Asset, endpoint: str | None = None, requester_pays: bool = False
) -> Store:
    """What an item says of the store that one of its assets lies in, after what the preset says.

    The storage extension's fields stand on the asset, on its alternate at the store, on the item, or, since version
    2, as schemes that assets refer to.
    """
    alternate = asset.extra_fields.get("alternate")
    s3 = alternate.get("s3") if isinstance(alternate, dict) else None
    sources = [asset.extra_fields, s3 if isinstance(s3, dict) and s3.get("href") == asset.href else {}]
    schemes = item.properties.get("storage:schemes") or item.extra_fields.get("storage:schemes") or {}
    refs = [ref for source in sources for ref in source.get("storage:refs") or [] if isinstance(source, dict)]
    named = [schemes[ref] for ref in refs if ref in schemes] if isinstance(schemes, dict) else []
    sources += [item.properties]

    def field(name: str, kind: type) -> Any:
        found: Callable[[dict[str, Any]], Any] = lambda source: source.get(f"storage:{name}")  # noqa: E731
        values = [*map(found, sources), *(scheme.get(name) for scheme in named)]
        return next((value for value in values if isinstance(value, kind)), None)

    pays = field("requester_pays", bool)
    return Store(endpoint, requester_pays if pays is None else bool(pays) or requester_pays, field("region", str))


def version(store: Store, href: str) -> str | None:
    """Entity tag, time of change and length of an object; None if the store does not say."""
    bucket, _, key = href.removeprefix("s3://").partition("/")
    try:
        said = store.open(bucket).head(key)
    except Exception:  # obstore raises its own, one a kind of failure
        return None
    validators = [said.get("e_tag"), said["last_modified"].isoformat(), str(said["size"])]
    return " ".join(filter(None, validators))


def content(store: Store, href: str, largest: int) -> bytes:
    """A whole object.

    Raises:
        ValueError: it is larger than `largest` bytes.
        FileNotFoundError: the store has no such object.
        UnreachableError: the store does not give it just now, or not without credentials.
    """
    store.gdal_options()  # says which credentials are missing
    bucket, _, key = href.removeprefix("s3://").partition("/")
    try:
        answer = store.open(bucket).get(key)
        if answer.meta["size"] <= largest:
            return bytes(answer.bytes())
    except Exception as error:  # obstore raises its own, one a kind of failure
        code = status(store, href)
        if code == 404:
            raise FileNotFoundError(f"{href} is not there") from error
        why = f"{href} cannot be reached: the store answers {code}. Run the same command again later"
        raise UnreachableError(why) from error
    raise ValueError(f"{href} has more than {largest:,} bytes")


def head(store: Store, href: str, count: int) -> bytes:
    """The first `count` bytes of an object.

    Raises:
        OSError: the store does not give them.
    """
    bucket, _, key = href.removeprefix("s3://").partition("/")
    try:
        return bytes(store.open(bucket).get_range(key, start=0, length=count))
    except Exception as error:  # obstore raises its own, one a kind of failure
        raise OSError(f"the store answers {status(store, href)}") from error


def status(store: Store, href: str) -> int | None:
    """The HTTP status that a store answers for an object, as far as its failure says; 503 if there is no answer."""
    from obstore import exceptions

    bucket, _, key = href.removeprefix("s3://").partition("/")
    try:
        store.open(bucket).head(key)
    except (exceptions.NotFoundError, FileNotFoundError):
        return 404
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError):
        return 403
    except Exception:
        return 503
    return 200
