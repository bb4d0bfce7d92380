"""prefect.yaml on a real server: made once, changed where it differs, and watched over."""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.states import Running

from flows.deploy import automations, deployments
from flows.deploy.change import Change
from flows.deploy.declared import limits, read
from flows.deploy.plan import bring_up_to_date
from flows.walking.limits import CLIENT
from tasks.core.errors import ParamsError, ServiceError
from tests.flows import toy

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://git.example.org/earthloom.git"
CATALOGS = sorted(yaml.safe_load((ROOT / "params.yaml").read_text())["catalogs"])


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
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
        "PYTHONPATH": str(ROOT),
    }
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start"], env=variables, stdout=log, stderr=log
        )
        try:
            until(lambda: _is_up(variables["PREFECT_API_URL"]), 120)
            yield variables
        finally:
            server.terminate()
            server.wait(timeout=20)


@pytest.fixture
def client(environment: dict[str, str]) -> Iterator[SyncPrefectClient]:
    with SyncPrefectClient(environment["PREFECT_API_URL"]) as client:
        yield client


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the project's prefect.yaml, to be edited."""
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    return tmp_path


def edit(checkout: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = yaml.safe_load((checkout / "prefect.yaml").read_text())
    change(values)
    (checkout / "prefect.yaml").write_text(yaml.safe_dump(values))


def deploy(client: SyncPrefectClient, checkout: Path, **options: Any) -> dict[str, Change]:
    changes = bring_up_to_date(client, checkout, CATALOGS, REPOSITORY, **options)
    return {f"{change.kind} {change.name}": change for change in changes}


def states(changes: dict[str, Change]) -> set[str]:
    return {change.state for change in changes.values()}


def test_every_deployment_is_a_flow_of_the_installed_project_and_takes_a_repository() -> None:
    declared = read(ROOT / "prefect.yaml")
    named = {f"{deployments.load(one).name}/{one.name}" for one in declared.deployments}
    assert {"rebuild/weekly", "build/all", "retrain/released", "stage/gpu"} <= named
    assert all(":" not in one.entrypoint for one in declared.deployments)


def test_each_catalog_has_its_limit() -> None:
    found = limits(read(ROOT / "prefect.yaml"), CATALOGS)
    assert {f"stac:{name}" for name in CATALOGS} <= found.keys() and not any("*" in tag for tag in found)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda y: y["deployments"][0].update(concurency_limit=1), "deployments.0.concurency_limit"),
        (lambda y: y["deployments"][0].update(entrypoint="flows/rebuild.py:rebuild"), "entrypoint"),
        (lambda y: y["deployments"][0].update(entrypoint="flows.rebuild.rebuilt"), "flows.rebuild.rebuilt"),
        (lambda y: y["deployments"][0].update(entrypoint="flows.walking.walk.walk"), "is no flow"),
        (lambda y: y["deployments"][0]["parameters"].update(refreshed=True), "no parameter refreshed"),
        (lambda y: y["watch"].pop("lost_after"), "watch.lost_after"),
        (lambda y: y["watch"].update(lost_after=60), "less than three heartbeats"),
    ],
)
def test_a_mistake_in_prefect_yaml_is_named_and_nothing_is_deployed(
    checkout: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    edit(checkout, change)
    with pytest.raises(ParamsError, match=re.escape(named)):
        for one in read(checkout / "prefect.yaml").deployments:
            deployments.load(one)


@pytest.mark.slow
def test_a_second_deploy_changes_nothing_and_an_edit_changes_what_was_edited(
    client: SyncPrefectClient, checkout: Path
) -> None:
    assert states(deploy(client, checkout)) == {"created"}
    assert states(deploy(client, checkout)) == {"unchanged"}
    weekly = client.read_deployment_by_name("rebuild/weekly")
    assert weekly.parameters == {"refresh": True, "repository": REPOSITORY}
    assert weekly.entrypoint == "flows.rebuild.rebuild" and not weekly.pull_steps and weekly.path is None
    assert weekly.job_variables["env"] == {**CLIENT, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    assert weekly.global_concurrency_limit is not None and weekly.global_concurrency_limit.limit == 1

    # What somebody switched off stays off, whatever else is changed.
    client.update_deployment_schedule(weekly.id, weekly.schedules[0].id, active=False)
    edit(checkout, lambda y: y["deployments"][0].update(description="Every Monday."))
    edit(checkout, lambda y: y["limits"].update({"stac:*": 3}))
    changed = deploy(client, checkout)
    assert changed["deployment rebuild/weekly"].state == "updated"
    assert changed["deployment rebuild/weekly"].detail.startswith("description, paused by hand")
    assert changed["limit stac:sample"].state == "updated" and changed["deployment build/all"].state == "unchanged"
    assert not client.read_deployment_by_name("rebuild/weekly").schedules[0].active
    limit = client.read_concurrency_limit_by_tag("stac:sample")
    assert limit.concurrency_limit == 3


@pytest.mark.slow
def test_what_is_no_longer_declared_is_named_and_goes_only_when_asked(
    client: SyncPrefectClient, checkout: Path
) -> None:
    deploy(client, checkout)
    foreign = client.create_deployment(
        flow_id=client.create_flow_from_name("other"), name="theirs", entrypoint="a.b", tags=["somebody"]
    )
    edit(checkout, lambda y: y.update(deployments=[d for d in y["deployments"] if d["name"] != "released"]))
    gone = ["deployment retrain/released", "automation earthloom: retrain on a released dataset"]
    kept = deploy(client, checkout)
    assert [kept[name].state for name in gone] == ["not declared"] * 2
    assert client.read_deployment_by_name("retrain/released")
    removed = deploy(client, checkout, prune=True)
    assert [removed[name].state for name in gone] == ["removed"] * 2
    assert not set(gone) & deploy(client, checkout).keys()
    assert client.read_deployment(foreign)


@pytest.mark.slow
def test_a_pool_of_another_type_and_a_block_that_is_not_there_are_refused(
    client: SyncPrefectClient, checkout: Path
) -> None:
    deploy(client, checkout)
    (checkout / "infra/pools").mkdir(parents=True)
    (checkout / "infra/pools/docker.json").write_text('{"job_configuration": {}, "variables": {}}')
    with pytest.raises(ServiceError, match="is of type process, not docker"):
        deploy(client, checkout, pool_type="docker")
    with pytest.raises(ServiceError, match=r"--pool-type moon.*process, docker"):
        deploy(client, checkout, pool_type="moon")
    with pytest.raises(ServiceError, match="--notify slack-webhook/nobody"):
        deploy(client, checkout, notify="slack-webhook/nobody")


@pytest.mark.slow
def test_a_run_that_falls_silent_is_marked_crashed_and_one_that_has_ended_is_not(
    client: SyncPrefectClient, environment: dict[str, str]
) -> None:
    watch = read(ROOT / "prefect.yaml").watch.model_copy(update={"lost_after": timedelta(seconds=10)})
    automations.ensure(client, automations.watches(watch, None))
    flow = client.create_flow_from_name("silent")
    runs = [client.request("POST", "/flow_runs/", json={"flow_id": str(flow)}).json()["id"] for _ in range(2)]
    for run in runs:
        client.set_flow_run_state(run, Running(), force=True)
    emit = (
        "import sys; from prefect.events import emit_event\n"
        "for run in sys.argv[1:]: emit_event('prefect.flow-run.heartbeat', resource="
        "{'prefect.resource.id': f'prefect.flow-run.{run}'})\n"
    )
    subprocess.run([sys.executable, "-c", emit, *runs], env=environment, check=True, timeout=60)
    client.request(
        "POST",
        f"/flow_runs/{runs[1]}/set_state",
        json={"state": {"type": "COMPLETED", "name": "Held back"}, "force": True},
    )
    until(lambda: client.read_flow_run(runs[0]).state_type == StateType.CRASHED, 60)
    assert "No sign of life" in str(client.read_flow_run(runs[0]).state.message)  # type: ignore[union-attr]
    assert client.read_flow_run(runs[1]).state_type == StateType.COMPLETED


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "PREFECT_API_URL is not set"),
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "no server answers at http://127.0.0.1:9/api"),
    ],
)
def test_without_a_server_deploy_says_so_in_a_sentence(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    clean = {n: v for n, v in toy.ENVIRONMENT.items() if not n.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-m", "earthloom", "deploy", "--repository", REPOSITORY],
        cwd=ROOT,
        env=clean | {"PREFECT_HOME": str(tmp_path), "NO_COLOR": "1", "PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["https://somebody:token@git.example.org/a.git", "https://token@git.example.org/a.git"])
def test_a_password_in_the_repositorys_url_is_refused_for_the_server_would_show_it(url: str) -> None:
    from flows.deploy.commands import deploy as command

    with pytest.raises(ServiceError, match="holds a password"):
        command(repository=url)


def until(found: Callable[[], Any], seconds: float) -> Any:
    """What `found` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return value


def _is_up(url: str) -> bool:
    try:
        with httpx.Client(trust_env=False, timeout=5) as client:
            return client.get(f"{url}/health").is_success
    except httpx.HTTPError:
        return False
