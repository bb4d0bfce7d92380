"""prefect.yaml on a real server: every deployment is accepted, and a process worker runs one to its end."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.flows import toy

REPOSITORY = Path(__file__).parents[2]
PROJECT = ("flows", "tasks", "models", "prefect.yaml", "params.yaml", "dvc.yaml", "requirements.lock", ".dvcignore")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment of a Prefect client, with a server of its own on loopback behind it."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    variables = {name: value for name, value in toy.ENVIRONMENT.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_PORT": port,
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
    }
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start"], env=variables, stdout=log, stderr=log
        )
        try:
            _wait_for_server(variables["PREFECT_API_URL"])
            yield variables
        finally:
            server.terminate()
            server.wait(timeout=20)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean checkout of this repository, as far as the flows need it."""
    root = tmp_path_factory.mktemp("checkout")
    for name in PROJECT:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    toy.shell(root, "git init -q && dvc init -q && dvc config core.analytics false")
    return root


@pytest.mark.slow
def test_every_deployment_is_accepted_and_a_worker_runs_one(checkout: Path, environment: dict[str, str]) -> None:
    url = environment["PREFECT_API_URL"]
    declared = yaml.safe_load((checkout / "prefect.yaml").read_text())["deployments"]
    for pool in {deployment["work_pool"]["name"] for deployment in declared}:
        _post(f"{url}/work_pools/", {"name": pool, "type": "process"})
    _prefect(checkout, environment, "--no-prompt", "deploy", "--all")

    stored = {deployment["name"]: deployment for deployment in _post(f"{url}/deployments/filter", {})}
    assert stored.keys() == {deployment["name"] for deployment in declared}
    for deployment in declared:
        there = stored[deployment["name"]]
        assert there["work_pool_name"] == deployment["work_pool"]["name"]
        assert there["global_concurrency_limit"]["limit"] == 1
        crons = [schedule["cron"] for schedule in deployment.get("schedules", [])]
        assert [schedule["schedule"]["cron"] for schedule in there["schedules"]] == crons

    run = _post(f"{url}/deployments/{stored['all']['id']}/create_flow_run", {"parameters": {"targets": ["check"]}})
    log = _prefect(checkout, environment, "worker", "start", "--pool", "earthloom-cpu", "--run-once")
    (done,) = _post(f"{url}/flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert done["state_type"] == "COMPLETED", f"{done['state']}\n{log}"
    tasks = _post(f"{url}/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert sorted((task["name"], task["tags"]) for task in tasks) == [("check", ["cpu"]), ("code", ["cpu"])]
    assert "check:" in (checkout / "dvc.lock").read_text()
    assert (checkout / "data/check.json").is_file()


def _prefect(root: Path, environment: dict[str, str], *words: str) -> str:
    line = [sys.executable, "-m", "prefect", *words]
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def _post(url: str, body: dict[str, Any]) -> Any:
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.post(url, json=body).raise_for_status().json()


def _wait_for_server(url: str) -> None:
    deadline = time.monotonic() + 60
    with httpx.Client(trust_env=False, timeout=1) as client:
        while True:
            try:
                client.get(f"{url}/health").raise_for_status()
                return
            except httpx.HTTPError:
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.2)
