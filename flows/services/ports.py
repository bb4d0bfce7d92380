"""Ports that are taken, by whom."""

import errno
import socket
from collections.abc import Iterable

import psutil

from tasks.core.errors import ServiceError


def check_free(wanted: Iterable[tuple[str, str, int]]) -> None:
    """See that nobody listens where a service is about to.

    Args:
        wanted: the option that chooses it, the address and the port, of each.

    Raises:
        ServiceError: one is taken, or is not this machine's; names its holder.
    """
    for option, host, port in wanted:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that is fading holds none
            try:
                listener.bind(address)
                listener.listen()
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise ServiceError(
                        f"port {port} is held by {holder(port)}: end it, or choose another by {option}"
                    ) from error
                raise ServiceError(f"cannot listen on {host}, port {port}: {error.strerror}") from error


def holder(port: int) -> str:
    """Who listens on a port, in words."""
    try:
        found = next(
            (
                c.pid
                for c in psutil.net_connections("inet")
                if c.status == psutil.CONN_LISTEN and c.laddr[1:] == (port,)
            ),
            None,
        )
        if found:
            return f"process {found} ({psutil.Process(found).name()})"
    except psutil.Error:
        pass
    return "a process of another user"
