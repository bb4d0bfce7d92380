"""Where a server listens: refused before anything is loaded if it cannot, or if strangers could ask without a key."""

import socket
from collections.abc import Sequence

from tasks.core.errors import EarthloomError
from tasks.serving.access import is_loopback


class ListenError(EarthloomError):
    """The server cannot listen at the address it was given."""


def check_keys(host: str, keys: Sequence[str]) -> None:
    """Refuse an address that others can reach without a key, and a key that is none.

    Raises:
        ListenError: says what to set.
    """
    if not is_loopback(host) and not keys:
        raise ListenError(
            f"{host} can be reached from other machines, and there is no key: set EARTHLOOM_API_KEY, or --api-key, or "
            "listen on 127.0.0.1"
        )
    if any(not key.strip() for key in keys):
        raise ListenError("--api-key (EARTHLOOM_API_KEY) is empty; leave it out where no key is wanted")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ListenError: the address is taken, or not of this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}, port {port}: {error}; choose another with --port") from error


def address(host: str, listener: socket.socket) -> str:
    """Where clients on this machine find it."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
