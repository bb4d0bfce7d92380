"""The embedded catalog, as its users see it: served on loopback for as long as a context lasts.

The recorded list of items must not depend on the port that happened to be free, so an href of this catalog is kept
as `embedded:<path>` and resolved just before a read, as a token of another catalog would be signed on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import CatalogError

SCHEME = "embedded:"
PROGRAM = "tasks.earth.sample_catalog_server"


@dataclass(frozen=True)
class Endpoints:
    """Where the running servers answer."""

    api: str
    """Root of the STAC API; empty if only the files are served."""
    files: str
    """Root of the files; an asset's href is this plus its path."""


def freeze(href: str, endpoints: Endpoints) -> str:
    """`http://127.0.0.1:<port>/assets/...` -> `embedded:assets/...`."""
    return SCHEME + href.removeprefix(endpoints.files + "/") if href.startswith(endpoints.files) else href


def resolve(href: str, endpoints: Endpoints) -> str:
    """`embedded:assets/...` -> the URL that answers now."""
    return f"{endpoints.files}/{href.removeprefix(SCHEME)}"


@contextmanager
def serve(folder: Path, search: bool = True, program: str = PROGRAM) -> Iterator[Endpoints]:
    """Serve `folder`, laid out as `samples/` is, until the context ends.

    The servers are another process: a reader that holds Python's lock while it waits for bytes would otherwise wait
    for ever. It ends when its standard input closes, so that it never outlives a reader that was killed.

    Args:
        folder: holds `catalog/collections`, `catalog/items` and the assets.
        search: serve the STAC API too. Reading needs the files alone.
        program: module that is run as the servers; tests give one that puts faults before the file server.

    Raises:
        CatalogError: the folder holds no catalog, or a server does not start.
    """
    if not (folder / "catalog" / "collections").is_dir():
        raise CatalogError(f"{folder}/catalog/collections is not there; the embedded catalog needs the sample scenes")
    command = [sys.executable, "-m", program, str(folder), "search" if search else "files"]
    # This code, wherever the reader was started from.
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise CatalogError("the embedded catalog did not start; `earthloom doctor` says what is missing")
            yield Endpoints(**json.loads(line))
        finally:
            process.stdin.close()
            process.wait(timeout=15)
