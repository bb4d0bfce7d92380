"""A catalog, a repository and a project for a rebuild of every week: a STAC API that gets one more scene."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tasks.earth.sample_catalog_server import _absolute, serve_files
from tests.conftest import ROOT
from tests.fixtures import checkout

COLLECTION = "sentinel-2-l2a"
NEW = "S2B_MSIL2A_20180204T94161_57_38"
"""The scene that comes later."""
PRESET = """
  ours:
    url: {api}
    collections: {{sentinel-2: [sentinel-2-l1c, sentinel-2-l2a], sentinel-1: [], landsat: []}}
    labels: [osm-landuse, corine-bigearthnet]
    sign: none
    hosts: ["127.0.0.1:{files}"]
    requests_per_second: 50
"""


class StacApi:
    """A real STAC API (rustac) on a port that stays, and the scenes' files by HTTP."""

    def __init__(self, folder: Path, files: str, port: int) -> None:
        self.folder, self.files, self.port = folder, files, port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, without: str = "") -> None:
        """Start it anew, with all items but one."""
        self.stop()
        catalog = self.folder / "served"
        shutil.rmtree(catalog, ignore_errors=True)
        hrefs = [
            href for href in _absolute(ROOT / "samples/catalog", self.files, catalog) if Path(href).stem != without
        ]
        program = str(Path(sys.executable).parent / "rustac")
        self.process = subprocess.Popen(
            [program, "serve", "--addr", f"127.0.0.1:{self.port}", *hrefs],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(self.url, timeout=1, trust_env=False).raise_for_status()
                return
            except httpx.HTTPError:
                assert time.monotonic() < deadline, "the STAC API did not start"
                time.sleep(0.1)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=20)


@contextmanager
def stac_api(folder: Path, port: int) -> Iterator[StacApi]:
    with serve_files(ROOT / "samples") as files:
        api = StacApi(folder, files, port)
        try:
            yield api
        finally:
            api.stop()


def make_project(root: Path, api: StacApi, steps: int) -> Path:
    """The project as a team would have it: its own catalog, one sensor, short training, a cron of every minute."""
    checkout.make(root, "sentinel-2")
    shutil.copy(ROOT / "prefect.yaml", root)
    params = root / "params.yaml"
    files = api.files.rpartition(":")[2]
    checkout.edit(params, "catalog: sample", "catalog: ours")
    checkout.edit(params, "catalogs:\n", f"catalogs:{PRESET.format(api=api.url, files=files).rstrip()}\n")
    checkout.edit(params, "  virginia: [-75.80, 37.50, -75.40, 37.80]\n", "")
    params.write_text(re.sub(r"max_steps: \d+", f"max_steps: {steps}", params.read_text()))
    # A model of so few steps answers nothing: the gate of this project lets it pass, so that its end can be seen.
    params.write_text(re.sub(r"above_controls: -[\d.]+", "above_controls: -1.0", params.read_text()))
    checkout.edit(params, "min_questions: 50", "min_questions: 20")
    checkout.edit(root / "prefect.yaml", '"0 3 * * 1"', '"* * * * *"')
    return root


def shell(root: Path, line: str, **variables: str) -> str:
    """Run a shell line with this environment's programs; its output."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {f"GIT_{who}_{what}": f"test@{who}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        line,
        shell=True,
        cwd=root,
        env=os.environ | {"PATH": programs} | identity | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def _post(api: str, auth: str, path: str, body: dict[str, Any]) -> Any:
    pair = tuple(auth.split(":", 1)) if auth else None
    with httpx.Client(trust_env=False, timeout=30, auth=pair) as client:
        token = client.get(f"{api}/csrf-token", params={"client": "weekly"})  # asked for where authentication is on
        headers = {}
        if token.is_success:
            headers = {"Prefect-Csrf-Token": token.json()["token"], "Prefect-Csrf-Client": "weekly"}
        answer = client.post(f"{api}{path}", json=body, headers=headers).raise_for_status()
        return json.loads(answer.text) if answer.text else None


def flow_runs(api: str, auth: str = "") -> list[dict[str, Any]]:
    """Runs of a server, oldest first."""
    runs: list[dict[str, Any]] = _post(api, auth, "/flow_runs/filter", {"sort": "START_TIME_ASC"})
    return runs


def pause(api: str, auth: str, name: str) -> None:
    """Pause the deployment of that name."""
    found = _post(api, auth, "/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
    _post(api, auth, f"/deployments/{found[0]['id']}/pause_deployment", {})
