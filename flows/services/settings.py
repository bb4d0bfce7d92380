"""How the services of this machine are set up: what was asked for, and where their files lie."""

import ipaddress
import os
import socket
import subprocess
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.core.errors import ServiceError
from tasks.core.stage import read_json, write_json

STORE_PORTS = 9
"""Ports of the object store, from `store_port` on: where it is asked, seven of its own parts, S3 behind the gate."""


@dataclass(frozen=True)
class Settings:
    """One set-up; a field has the name of the option that sets it."""

    host: str = "127.0.0.1"
    """Address that the Prefect server and the object store can be reached at; everything else stays on loopback."""
    port: int = 4200
    database_port: int = 5442
    store_port: int = 8333
    url: str = ""
    """Where people reach the server, if not at `host` and `port`: behind a proxy."""
    auth: bool = False
    store: bool = True
    workers: bool = True
    repositories: str = ""
    """Git URLs that the workers may clone, with commas between them."""
    database_user: str = "postgres"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can connect."""
        return is_loopback(self.host)

    @property
    def reachable_host(self) -> str:
        """The host's address for a client on this machine."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    @property
    def local_url(self) -> str:
        """Base URL of the server as this machine reaches it: `http://127.0.0.1:4200`."""
        return f"http://{_bracketed(self.reachable_host)}:{self.port}"

    @property
    def public_url(self) -> str:
        """Base URL of the server as people type it."""
        if self.url:
            return self.url.rstrip("/")
        host = socket.gethostname() if _is_any(self.host) else self.host
        return f"http://{_bracketed(host)}:{self.port}"

    @property
    def endpoint(self) -> str:
        """URL of the object store as this machine reaches it."""
        return f"http://{_bracketed(self.reachable_host)}:{self.store_port}"

    @property
    def s3_port(self) -> int:
        """Where S3 is on loopback: behind the gate, if there is one, else where people ask for it."""
        return self.store_port if self.is_loopback else self.store_port + STORE_PORTS - 1

    def ports(self) -> list[tuple[str, str, str, int]]:
        """A service, the option that chooses its port, the address and the port, of all that listen."""
        inner = [self.s3_port, *range(self.store_port + 1, self.store_port + STORE_PORTS - 1)]
        return [
            ("database", "--database-port", "127.0.0.1", self.database_port),
            ("server", "--port", self.host, self.port),
            *([] if self.is_loopback else [("gate", "--store-port", self.host, self.store_port)]),
            *(("store", "--store-port", "127.0.0.1", port) for port in inner),
        ]

    def checked(self) -> "Settings":
        """The same, complete: beyond loopback with authentication.

        Raises:
            ServiceError: an option is not valid, or two of them do not go together.
        """
        try:
            socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, OverflowError) as error:
            raise ServiceError(f"--host {self.host}: no address of this machine ({error})") from error
        taken: dict[int, str] = {}
        for _, option, _, port in self.ports():
            if not 0 < port < 65536:
                raise ServiceError(f"{option}: {port} is no port; 1 to 65535 are")
            if port in taken:
                raise ServiceError(f"{option} and {taken[port]} both want port {port}: choose another for one")
            taken[port] = option
        parts = urlsplit(self.url)
        if self.url and (parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc):
            raise ServiceError(f"--url {self.url}: write it as https://prefect.example.org, without a password")
        return self


def is_loopback(host: str) -> bool:
    """Whether an address, or every one that a name stands for, is this machine's own."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def folder(home: Path) -> Path:
    """Where the services of a host keep their files."""
    return home / "services"


def read(services: Path) -> Settings | None:
    """The set-up that was last started, or nothing.

    Raises:
        ServiceError: its file is damaged.
    """
    path = services / "settings.json"
    if not path.is_file():
        return None
    known = {field.name for field in fields(Settings)}
    try:
        return Settings(**{name: value for name, value in read_json(path).items() if name in known})
    except (ValueError, AttributeError) as error:
        raise ServiceError(f"{path} is damaged: remove it, and give the options once more") from error


def write(services: Path, settings: Settings) -> None:
    """Keep the set-up, so that the next `earthloom up` needs no options."""
    write_json(services / "settings.json", asdict(settings))


def chosen(last: Settings | None, options: dict[str, Any]) -> Settings:
    """What was asked for now, else what was asked for last, else the default; beyond loopback authentication is on.

    Raises:
        ServiceError: see `Settings.checked`; or authentication was refused beyond loopback.
    """
    given = {name: value for name, value in options.items() if value is not None}
    settings = replace(last or Settings(), **given).checked()
    if settings.is_loopback:
        return settings
    if given.get("auth") is False:
        raise ServiceError(
            f"--no-auth: --host {settings.host} can be reached from other machines, and whoever reaches a server "
            "without authentication runs code on its workers. Leave --no-auth out."
        )
    return replace(settings, auth=True)


def origin(checkout: Path) -> str:
    """URL of the checkout's remote `origin`; empty if it has none."""
    command = ["git", "-C", str(checkout), "config", "--get", "remote.origin.url"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def clean_environment(*removed: str) -> dict[str, str]:
    """This process's environment without what points a Prefect client elsewhere, and without `removed`."""
    ours = {
        "PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE", "PREFECT_HOME",
        "PREFECT_PROFILES_PATH", "PREFECT_SERVER_API_AUTH_STRING", *removed,
    }  # fmt: skip
    return {name: value for name, value in os.environ.items() if name not in ours}
