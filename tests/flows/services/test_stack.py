"""`earthloom up`, `deploy` and `down` on real services: PostgreSQL, Prefect server, SeaweedFS and workers."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import websockets
from prefect.client.orchestration import SyncPrefectClient

from flows.services import secrets
from flows.services.daemon import Daemon, marked
from tests.flows.services.stack import Stack, stack

pytestmark = pytest.mark.slow
SERVICES = ["database", "store", "gate", "server", "worker-cpu", "worker-gpu"]
REPOSITORY = "https://git.example.org/earthloom.git"


@pytest.fixture(scope="module")
def up() -> Iterator[Stack]:
    """The services, reachable from other machines: with authentication."""
    with stack() as made:
        made.call("up", "--host", "0.0.0.0", "--repositories", REPOSITORY, *made.ports)
        yield made


def url(up: Stack, path: str = "") -> str:
    return f"http://127.0.0.1:{up.port}{path}"


def client(up: Stack) -> SyncPrefectClient:
    return SyncPrefectClient(url(up, "/api"), auth_string=secrets.load(up.services).api)


def names(up: Stack) -> list[str]:
    return [name for name in SERVICES if Daemon(up.services, name).tops()]


def test_a_second_up_starts_nothing(up: Stack) -> None:
    before = {process.pid for process in marked(up.services)}
    said = up.call("up").stderr
    assert said.count("was running") == len(SERVICES) and "started" not in said
    assert {process.pid for process in marked(up.services)} == before


def test_other_options_while_it_runs_are_refused_by_name(up: Stack) -> None:
    assert "--port" in up.call("up", "--port", "4299", fails=True).stderr


def test_a_request_without_a_credential_is_refused(up: Stack) -> None:
    with httpx.Client(trust_env=False, timeout=30) as web:
        for path in ("/api/csrf-token?client=x", "/api/admin/settings", "/api/deployments/name/build/all"):
            assert web.get(url(up, path)).status_code == 401
            assert web.get(url(up, path), auth=("earthloom", "guessed")).status_code == 401
        for path in ("/api/deployments/filter", "/api/automations/", "/api/block_documents/filter", "/api/events"):
            # The token against forged requests is asked for before the password is; without one there is no token.
            assert web.post(url(up, path), json={}).status_code in (401, 403)


def test_the_page_of_another_site_may_not_ask_the_server(up: Stack) -> None:
    asked = {"Origin": "https://evil.example.org", "Access-Control-Request-Method": "POST"}
    with httpx.Client(trust_env=False, timeout=30) as web:
        answer = web.options(url(up, "/api/deployments/filter"), headers=asked)
    assert "access-control-allow-origin" not in answer.headers


def test_nobody_emits_or_reads_events_without_a_credential(up: Stack) -> None:
    async def knock(path: str) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{up.port}{path}", subprotocols=["prefect"]) as socket_:  # type: ignore[list-item]
            await socket_.send('{"type": "auth", "token": null}')
            await socket_.send('{"event": "earthloom.dataset.released"}')
            await asyncio.wait_for(socket_.recv(), 30)

    for path in ("/api/events/in", "/api/events/out"):
        with pytest.raises(websockets.WebSocketException):
            asyncio.run(knock(path))


def test_the_store_answers_nobody_without_its_key(up: Stack) -> None:
    s3 = f"http://127.0.0.1:{up.port + 2}"
    with httpx.Client(trust_env=False, timeout=30) as web:
        for method, path in (("GET", "/"), ("GET", "/earthloom"), ("PUT", "/earthloom/x"), ("DELETE", "/earthloom")):
            assert web.request(method, s3 + path).status_code == 403, (method, path)


def test_only_the_server_and_the_store_can_be_reached_from_elsewhere(up: Stack) -> None:
    open_to_all = set()
    for process in marked(up.services):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[0] not in ("127.0.0.1", "::1"):
                open_to_all.add(connection.laddr[1])
    assert open_to_all == {up.port, up.port + 2}


def test_deploy_makes_all_of_it_once_and_a_released_dataset_is_trained_on(up: Stack) -> None:
    first = up.call("deploy", "--repository", REPOSITORY, sourced=True).stderr
    assert "created" in first
    again = up.call("deploy", "--repository", REPOSITORY, sourced=True).stderr
    assert "unchanged" in again and "created" not in again and "updated" not in again

    emit = (
        "from prefect.events import emit_event\n"
        "emit_event('earthloom.dataset.released', resource={'prefect.resource.id': 'earthloom.dataset',"
        " 'earthloom.tag': 'dataset-2026.11.27', 'earthloom.commit': 'c' * 40, 'earthloom.repository': 'r'})\n"
    )
    subprocess.run(
        [sys.executable, "-c", emit],
        env=up.environment | up.variables(),
        check=True,
        timeout=60,
    )
    with client(up) as server:
        deployment = server.read_deployment_by_name("retrain/released")
        run = until(lambda: [r for r in server.read_flow_runs() if r.deployment_id == deployment.id])[0]
        assert run.parameters["revision"] == "dataset-2026.11.27" and run.parameters["repository"] == REPOSITORY


def test_no_secret_is_on_a_command_line_in_a_log_or_in_the_database(up: Stack) -> None:
    made = secrets.load(up.services)
    planted = [made.database, made.api.partition(":")[2], made.secret_key, made.store]
    shown = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    logs = [path.read_text(errors="replace") for path in (up.services / "log").iterdir()]
    assert len(logs) == len(SERVICES) and any(logs)
    dumped = subprocess.run(
        ["pg_dump", "-h", "127.0.0.1", "-p", str(up.port + 1), "-U", "earthloom", "prefect"],
        env=os.environ | {"PGPASSWORD": made.database},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "earthloom-cpu" in dumped
    files = [path for path in up.services.rglob("*") if path.is_file()]
    private = {up.services / "secrets.json", up.services / "env.sh"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)
    for secret in planted:
        assert not any(secret in text for text in [*shown, *logs, dumped])
        assert not [path for path in files if path not in private and secret.encode() in path.read_bytes()]


def test_dvc_pushes_to_the_store_and_another_checkout_pulls(up: Stack, tmp_path: Path) -> None:
    variables = up.variables()
    environment = up.environment | {name: value for name, value in variables.items() if name.startswith("AWS_")}
    make = (
        "git init -q . && dvc init -q && dvc config core.analytics false && head -c 3000000 /dev/urandom > data.bin &&"
        f" dvc add -q data.bin && dvc remote add -q -d team {variables['EARTHLOOM_REMOTE']} &&"
        f" dvc remote modify -q team endpointurl {variables['EARTHLOOM_REMOTE_ENDPOINT']} && dvc push -q"
    )
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    subprocess.run(["sh", "-c", make], cwd=here, env=environment, check=True, timeout=200)
    shutil.copytree(here, there, ignore=shutil.ignore_patterns("data.bin", "cache", "tmp"))
    subprocess.run(["sh", "-c", "dvc pull -q"], cwd=there, env=environment, check=True, timeout=200)
    assert (there / "data.bin").read_bytes() == (here / "data.bin").read_bytes()
    assert variables["AWS_SECRET_ACCESS_KEY"] not in (here / ".dvc/config").read_text()


def test_after_kills_up_brings_back_what_is_missing_and_what_was_stored_is_there(up: Stack) -> None:
    for name in ("worker-cpu", "server", "database", "store", "gate"):
        killed = Daemon(up.services, name).tops()
        for process in killed:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(killed)
    with socket.create_server(("127.0.0.1", up.port)):
        said = up.call("up", fails=True).stderr
        assert f"process {os.getpid()} (" in said and "--port" in said
    said = up.call("up").stderr
    assert said.count("started") == 5 and names(up) == SERVICES
    with client(up) as server:
        assert server.read_deployment_by_name("rebuild/weekly")


def test_down_leaves_nothing_running_also_after_a_kill_and_keeps_the_data(up: Stack) -> None:
    Daemon(up.services, "database").tops()[0].send_signal(signal.SIGKILL)
    for process in Daemon(up.services, "worker-gpu").tops():
        process.send_signal(signal.SIGKILL)
    up.call("down")
    home = str(up.home)
    left = [p.info for p in psutil.process_iter(["cmdline", "cwd"]) if home in f"{p.info['cmdline']}{p.info['cwd']}"]
    assert marked(up.services) == [] and left == []
    assert (up.services / "database" / "PG_VERSION").is_file() and list((up.services / "store").glob("*.dat"))
    assert "Nothing was running" in up.call("down").stderr


def until(found: Any, seconds: float = 60) -> Any:
    """What `found` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return value
