"""An instance that another host has run, or is to run: taken only for what was asked, and if all of it is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate

from flows.gpu.dispatch import Dispatch, result_key, result_path
from flows.recording.recorder import Recorder, open_workspace
from flows.stage import stage
from flows.versions.remote import Remote, opened, outs_of
from flows.walking.walk import walk
from tasks.core.errors import FlowError
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]
ADDRESS = "train@1"


@pytest.fixture
def remote(done: Path, tmp_path: Path) -> Iterator[Remote]:
    """The remote of a project that is up to date."""
    toy.shell(done, f"dvc remote add -q --default store {tmp_path / 'store'}")
    with opened(done) as found:
        yield found


@pytest.fixture
def gpu_pool(server: str) -> Iterator[None]:
    """The deployment stage/gpu on a pool that no worker looks at."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="earthloom-gpu", type="process"), overwrite=True)
        made = client.create_deployment(client.create_flow(stage), "gpu", work_pool_name="earthloom-gpu")
        yield
        client.delete_deployment(made)


def ask(recorder: Recorder, remote: Remote) -> str | None:
    """What a dispatch gives for an instance."""
    instance = recorder.graph.by_address[ADDRESS]
    upstream = {recorder.graph.by_address[name]: recorder.entry(name) for name in instance.upstream}

    @flow(name="asking")
    def asking() -> str | None:
        return Dispatch("nowhere", "0" * 40, remote).run(instance, recorder.asked(ADDRESS), upstream, lambda: False)

    return asking()


def leave(recorder: Recorder, remote: Remote, entry: str, pushed: bool = True) -> None:
    """Leave an entry on the remote as a worker does."""
    if pushed:
        outs = outs_of(yaml.safe_load(entry), recorder.graph.by_address[ADDRESS].cached)
        assert remote.push(remote.objects(outs)) == []
    remote.write(entry.encode(), *result_path(result_key(recorder.asked(ADDRESS))))


def test_without_a_deployment_or_a_worker_online_the_instance_is_to_run_here(
    done: Path, remote: Remote, server: str, gpu_pool: None
) -> None:
    with open_workspace(done) as recorder:
        assert ask(recorder, remote) is None


def test_what_a_worker_has_left_for_the_same_inputs_is_taken_without_a_run(
    done: Path, remote: Remote, server: str
) -> None:
    with open_workspace(done) as recorder:
        entry = recorder.entry(ADDRESS)
        leave(recorder, remote, entry)
        assert ask(recorder, remote) == entry


def test_an_entry_whose_outputs_are_not_on_the_remote_is_not_taken(done: Path, remote: Remote, server: str) -> None:
    with open_workspace(done) as recorder:
        leave(recorder, remote, recorder.entry(ADDRESS), pushed=False)
        assert ask(recorder, remote) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("python work.py model", "python work.py chips", "its command is"),
        ("width: 8", "width: 9", "parameter model"),
        ("path: data/train/1", "path: data/train/2", "output data/train/1 is missing"),
    ],
    ids=["command", "parameter", "output"],
)
def test_an_entry_of_anything_else_than_what_was_asked_is_refused_by_name(
    old: str, new: str, said: str, done: Path
) -> None:
    before = toy.lock(done)
    with open_workspace(done) as recorder:
        entry = recorder.entry(ADDRESS)
        assert old in entry
        with pytest.raises(FlowError, match=said):
            recorder.accept(ADDRESS, entry.replace(old, new, 1))
    assert toy.lock(done) == before


def test_a_walk_records_what_a_worker_made_and_the_lock_is_that_of_a_run_here(
    done: Path, remote: Remote, server: str, tmp_path: Path
) -> None:
    whole = toy.lock(done)
    with open_workspace(done) as recorder:
        entry = recorder.entry(ADDRESS)
        leave(recorder, remote, entry)
        recorder.drop([ADDRESS])
    toy.shell(done, "rm -rf data/train .dvc/cache/runs")
    toy.ran(done)

    @flow(name="walking")
    def walking() -> Any:
        return [o.state for o in walk(done, [ADDRESS], sparse=True, dispatch=Dispatch("nowhere", "0" * 40, remote).run)]

    assert walking().count("ran") == 1
    assert toy.ran(done) == []
    assert toy.lock(done) == whole


@pytest.mark.parametrize("address", ["../../etc", "train@1/../..", "train@", "", "a b"])
def test_an_address_that_would_lead_elsewhere_is_refused_before_anything_is_cloned(
    address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHLOOM_HOME", str(tmp_path / "host"))
    state = stage("https://example.org/x.git", "0" * 40, address, {}, return_state=True)
    assert state.is_failed() and "is not one of a stage instance" in str(state.message)
    assert not (tmp_path / "host").exists()
