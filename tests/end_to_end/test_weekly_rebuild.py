"""One new scene in the catalog and nobody at a keyboard: rebuilt, released, trained on another host, in service."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.end_to_end import weekly
from tests.end_to_end.weekly import shell
from tests.flows.services import stack as services
from tests.flows.services.stack import Stack, free_ports

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3000)]
BIN = Path(sys.executable).parent
PATIENCE = 2400.0
"""Seconds, for a machine on which much else runs."""


@pytest.fixture
def stack() -> Iterator[Stack]:
    """PostgreSQL, a Prefect server and an object store; its workers are other hosts."""
    with services.stack() as found:
        yield found


def worker(home: Path, pool: str, variables: dict[str, str]) -> "subprocess.Popen[bytes]":
    """A worker on a host of its own: other HOME, other folder, empty cache."""
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "EARTHLOOM_"))}
    environment |= variables | {
        "HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "EARTHLOOM_HOME": str(home / "earthloom"),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    words = [str(BIN / "prefect"), "worker", "start", "--pool", pool, "--name", home.name, "--type", "process"]
    with (home / "worker.log").open("wb") as log:
        return subprocess.Popen(words, cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True)


def test_a_new_scene_is_rebuilt_released_trained_on_another_host_and_promoted(stack: Stack, tmp_path: Path) -> None:
    origin = tmp_path / "origin.git"
    stack.call("up", "--no-workers", "--repositories", str(origin), *stack.ports)
    with weekly.stac_api(tmp_path, free_ports(1)) as api:
        variables = stack.variables()
        url, auth = variables["PREFECT_API_URL"], variables.get("PREFECT_API_AUTH_STRING", "")
        author = _first_version(tmp_path, origin, api, variables)

        api.serve()
        hosts = [worker(tmp_path / f"host-{pool}", f"earthloom-{pool}", variables) for pool in ("cpu", "gpu")]
        try:
            shell(author, f"earthloom deploy --repository {origin}", **variables, COLUMNS="200")
            names = _wait_until_in_service(url, auth, origin)
        finally:
            for host in hosts:
                os.killpg(host.pid, 9)
        _pictures(url, auth)

    print(shell(origin, "git log --format='%h %d %s%n%b' main; git tag"))
    assert {"Released", "Promoted"} <= set(names)
    message = shell(origin, "git tag -l --format='%(contents)' 'dataset-*'")
    assert "(+1 -0)" in message and weekly.NEW in message
    _reproduced_elsewhere(tmp_path, origin, variables)


def _first_version(tmp_path: Path, origin: Path, api: weekly.StacApi, variables: dict[str, str]) -> Path:
    """The dataset without the scene, as its author has built, pushed and committed it."""
    api.serve(without=weekly.NEW)
    author = weekly.make_project(tmp_path / "author", api, steps=4)
    shell(author, f"git checkout -qb main && git init -q --bare -b main {origin} && git remote add origin {origin}")
    shell(author, f"dvc remote add -q -d store {variables['EARTHLOOM_REMOTE']}")
    shell(author, f"dvc remote modify -q --local store endpointurl {variables['EARTHLOOM_REMOTE_ENDPOINT']}")
    shell(author, "dvc repro -q split && dvc push -q", **variables)
    shell(author, "git add -A && git commit -qm 'The first version' && git push -q origin main")
    return author


def _wait_until_in_service(url: str, auth: str, origin: Path) -> list[str]:
    """Until a model is in service; the names of the states that runs have ended with."""
    seen: set[tuple[str, str]] = set()
    began = time.monotonic()
    paused = False
    while time.monotonic() - began < PATIENCE:
        runs = weekly.flow_runs(url, auth)
        for run in runs:
            if (run["name"], run["state_name"]) not in seen and run["state_name"] != "Scheduled":
                seen.add((run["name"], run["state_name"]))
                message = str((run["state"] or {}).get("message") or "")[:300]
                print(
                    f"{time.monotonic() - began:6.0f} s  {run['name']:30} {run['state_name']:15} {message}", flush=True
                )
        failed = [run for run in runs if run["state_type"] in ("FAILED", "CRASHED")]
        assert not failed, [(run["name"], run["state"]) for run in failed]
        if not paused and any(name == "Released" for _, name in seen):
            weekly.pause(url, auth, "weekly")  # a rebuild a minute would be nothing but load
            paused = True
        if "earthdial#production" in shell(origin, "git tag"):
            return [run["state_name"] for run in weekly.flow_runs(url, auth)]
        time.sleep(3)
    raise AssertionError(f"no model is in service after {PATIENCE:.0f} s: {sorted(seen)}")


def _pictures(url: str, auth: str) -> None:
    """What the server's page shows, into the folder that EARTHLOOM_PICTURES names."""
    folder = os.environ.get("EARTHLOOM_PICTURES")
    if not folder:
        return
    from playwright.sync_api import sync_playwright

    page_url = url.removesuffix("/api")
    runs = weekly.flow_runs(url, auth)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, size in (("desktop", (1400, 900)), ("phone", (390, 844))):
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            for what, path in {
                "runs": "/runs",
                "artifacts": "/artifacts",
                "automations": "/automations",
                **{
                    f"run-{i}": f"/runs/flow-run/{r['id']}"
                    for i, r in enumerate(runs)
                    if r["state_type"] == "COMPLETED"
                },
            }.items():
                page.goto(page_url + path, wait_until="networkidle")
                page.screenshot(path=f"{folder}/{name}-{what}.png")
            page.close()
        browser.close()


def _reproduced_elsewhere(tmp_path: Path, origin: Path, variables: dict[str, str]) -> None:
    """A stranger's clone of each version re-runs nothing, and training it here gives the very entry of the GPU host."""
    clone = tmp_path / "stranger"
    tags = shell(origin, "git tag").split()
    dataset = next(tag for tag in tags if tag.startswith("dataset-"))
    model = next(tag for tag in tags if tag.startswith("earthdial@"))
    shell(tmp_path, f"git clone -q {origin} {clone}")
    shell(clone, f"dvc remote modify -q --local store endpointurl {variables['EARTHLOOM_REMOTE_ENDPOINT']}")
    for tag, target in ((dataset, "split"), (model, "evaluate")):
        shell(clone, f"git checkout -q {tag} && dvc pull -q --allow-missing", **variables)
        printed = shell(clone, f"dvc repro {target}", **variables)
        ran = [line for line in printed.splitlines() if line.startswith("Running stage")]
        assert all("'code'" in line for line in ran), printed
        assert shell(clone, "git status --porcelain") == ""
    released = yaml.safe_load((clone / "dvc.lock").read_text())["stages"]["train@1"]
    shell(clone, "dvc repro -q --force --single-item train@1", **variables)
    assert yaml.safe_load((clone / "dvc.lock").read_text())["stages"]["train@1"] == released
