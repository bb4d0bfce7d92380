"""The servers of the embedded catalog: a STAC API (rustac) and a file server with byte ranges (starlette).

Serves a folder laid out as `samples/` is: `catalog/collections/*.json`, `catalog/items/<collection>/*.json` with
asset hrefs relative to the folder, and the assets. Run by `embedded.serve`: prints where it answers as one JSON line,
and ends, with everything it started, when its standard input closes.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tasks.core.errors import CatalogError

START_TIMEOUT = 20.0
"""Seconds a server may take to answer first; 0.2 s is usual."""


@contextmanager
def serve_files(folder: Path, middleware: Any = None) -> Iterator[str]:
    """Serve files with byte ranges on a free port, behind an ASGI `middleware` if one is given; yields the root URL."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.staticfiles import StaticFiles

    app = Starlette(middleware=[Middleware(middleware)] if middleware else [])
    app.mount("/", StaticFiles(directory=folder))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        _wait(lambda: server.started, "the embedded file server")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=5)


@contextmanager
def serve_api(folder: Path, files: str) -> Iterator[str]:
    """Serve the catalog's items, hrefs made absolute under `files`, as a STAC API; yields its root URL."""
    program = shutil.which("rustac", path=str(Path(sys.executable).parent)) or shutil.which("rustac")
    if program is None:
        raise CatalogError("the STAC server 'rustac' is not installed; run `make env`")
    with tempfile.TemporaryDirectory(prefix="earthloom-catalog-") as temporary:
        hrefs = _absolute(folder / "catalog", files, Path(temporary))
        port = _free_port()
        command = [program, "serve", "--addr", f"127.0.0.1:{port}", *hrefs]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            try:
                url = f"http://127.0.0.1:{port}"
                _wait(lambda: _answers(url, process, output), "the embedded STAC API")
                yield url
            finally:
                process.terminate()
                process.wait(timeout=10)


def _absolute(catalog: Path, files: str, target: Path) -> list[str]:
    """Copy the catalog's JSON to `target` with absolute asset hrefs; the paths, collections first."""
    hrefs = []
    for source in [*sorted(catalog.glob("collections/*.json")), *sorted(catalog.glob("items/*/*.json"))]:
        document = json.loads(source.read_text())
        for asset in document.get("assets", {}).values():
            if "://" not in asset["href"]:
                asset["href"] = f"{files}/{asset['href']}"
        # A server makes its own links; the ones of the files on disk would lead nowhere.
        document["links"] = []
        copy = target / source.relative_to(catalog)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(json.dumps(document))
        hrefs.append(str(copy))
    return hrefs


def _answers(url: str, process: subprocess.Popen[bytes], output: Any) -> bool:
    import httpx

    if process.poll() is not None:
        output.seek(0)
        raise CatalogError(f"the embedded STAC API ended at once: {output.read().decode()[-500:]}")
    try:
        return httpx.get(url, timeout=1, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _wait(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        if time.monotonic() > deadline:
            raise CatalogError(f"{what} did not answer within {START_TIMEOUT:.0f} s")
        time.sleep(0.02)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def main(folder: str, what: str, middleware: Any = None) -> None:
    """Serve until standard input closes: the files, and the STAC API too if `what` is "search"."""
    root = Path(folder)
    with ExitStack() as stack:
        files = stack.enter_context(serve_files(root, middleware))
        api = stack.enter_context(serve_api(root, files)) if what == "search" else ""
        sys.stdout.write(json.dumps({"api": api, "files": files}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except CatalogError as error:
        sys.exit(f"embedded catalog: {error}")
