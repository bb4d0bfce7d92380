"""A run ends as a version: what is on the remote is committed, tagged and pushed at once, or nothing is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow

from flows.recording.recorder import open_workspace
from flows.versions.git import git
from flows.versions.host import Host
from flows.versions.release import DATASET, TRAINED, BranchMovedError, Kind, Release, drop_stale, release
from flows.versions.remote import opened
from flows.versions.workspace import REMOTE, REPOSITORIES, Workspace, workspace
from flows.walking.walk import walk
from tasks.core.errors import FlowError
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]
Releasing = Callable[..., Release | None]


@pytest.fixture
def origin(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy project as a bare repository, with a folder as the DVC remote of this host."""
    bare = tmp_path / "origin.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(project), str(bare))
    monkeypatch.setenv(REPOSITORIES, str(bare))
    monkeypatch.setenv(REMOTE, str(tmp_path / "store"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "host"))
    return bare


@pytest.fixture
def releasing(server: str, origin: Path, tmp_path: Path) -> Releasing:
    """A flow that walks a workspace to targets and releases it."""

    @flow(name="releasing")
    def run(
        targets: list[str], kind_name: str = "dataset", before: Callable[[Workspace], None] | None = None
    ) -> Release | None:
        kind: Kind = {"dataset": DATASET, "model": TRAINED}[kind_name]
        with workspace(Host(tmp_path / "host"), str(origin), "main", f"run-{kind_name}") as space:
            walk(space.root, targets, sparse=True)
            if before:
                before(space)
            with opened(space.root) as remote, open_workspace(space.root, sparse=True) as recorder:
                return release(space, recorder, remote, kind, "main")

    return lambda *targets, **options: run(list(targets), **options)


def test_a_version_is_tagged_on_the_branch_and_a_strangers_clone_of_it_runs_nothing(
    releasing: Releasing, origin: Path, tmp_path: Path
) -> None:
    made = releasing("chips@red-a")
    assert made is not None and made.tag.startswith("dataset-")
    assert git(origin, "rev-parse", "main", f"{made.tag}^{{commit}}").splitlines() == [made.commit] * 2
    assert git(origin, "log", "-1", "--format=%s", "main").startswith("Dataset 20")

    clone = tmp_path / "stranger"
    git(tmp_path, "clone", "--quiet", "--branch", made.tag, str(origin), str(clone))
    toy.shell(clone, f"dvc remote add -q --default store {tmp_path / 'store'}")
    toy.shell(clone, "dvc pull -q --allow-missing && dvc repro chips@red-a")
    assert toy.ran(clone) == []
    assert toy.shell(clone, "git status --porcelain dvc.lock") == ""


def test_where_nothing_is_new_there_is_no_commit(releasing: Releasing, origin: Path) -> None:
    releasing("chips@red-a")
    before = git(origin, "rev-parse", "main")
    assert releasing("chips@red-a") is None
    assert git(origin, "rev-parse", "main") == before


def test_a_second_version_of_a_day_has_a_number_and_a_model_a_version_of_its_own(
    releasing: Releasing, origin: Path
) -> None:
    first, second, model = releasing("scenes@red"), releasing("chips@red-a"), releasing("check", kind_name="model")
    assert first and second and model
    assert second.tag == f"{first.tag}.2"
    assert model.tag == "earthdial@v0.0.1"


def test_entries_made_from_another_version_of_the_data_are_left_out_and_named(
    releasing: Releasing, origin: Path, project: Path
) -> None:
    releasing("chips@red-a")
    git(project, "pull", "--quiet", str(origin), "main")
    toy.touch(project, "red: 2", "red: 20")
    toy.shell(project, "git -c user.name=a -c user.email=a@b commit -qam 'Other scenes'")
    git(project, "push", "--quiet", str(origin), "HEAD:main")
    made = releasing("scenes@red")
    assert made is not None
    lock = git(origin, "show", "main:dvc.lock")
    assert "chips@red-a:" not in lock and "scenes@red:" in lock
    assert "another version of its inputs: chips@red-a" in made.message


def test_a_branch_that_others_have_moved_is_not_overwritten_and_no_tag_is_left(
    releasing: Releasing, origin: Path, project: Path
) -> None:
    def somebody_commits(_space: Workspace) -> None:
        toy.shell(project, "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m meanwhile")
        git(project, "push", "--quiet", str(origin), "HEAD:main")

    with pytest.raises(BranchMovedError, match="main has got other commits"):
        releasing("scenes@red", before=somebody_commits)
    assert git(origin, "tag") == ""
    assert git(origin, "log", "-1", "--format=%s", "main") == "meanwhile"
    assert releasing("scenes@red") is not None


def test_a_push_that_git_refuses_says_so_and_the_next_run_releases_what_was_made(
    releasing: Releasing, origin: Path, tmp_path: Path
) -> None:
    hook = origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(FlowError, match="main is protected"):
        releasing("scenes@red")
    assert git(origin, "tag") == ""
    hook.unlink()
    assert releasing("scenes@red") is not None


def test_what_is_neither_in_the_cache_nor_on_the_remote_is_left_out_of_the_version_and_named(
    releasing: Releasing, origin: Path, tmp_path: Path
) -> None:
    releasing("check")
    for folder in (tmp_path / "store", tmp_path / "host" / "cache"):
        shutil.rmtree(folder)
    made = releasing("scenes@red")
    assert made is not None and "neither in the cache nor on the remote: check" in made.message
    lock = git(origin, "show", "main:dvc.lock")
    assert "check:" not in lock and "scenes@red:" in lock


def test_a_remote_that_is_away_fails_before_anything_is_committed(
    releasing: Releasing, origin: Path, tmp_path: Path
) -> None:
    def remote_goes(_space: Workspace) -> None:
        (tmp_path / "store").write_text("a file where the folder was")

    before = git(origin, "rev-parse", "main")
    with pytest.raises(FlowError):
        releasing("scenes@red", before=remote_goes)
    assert git(origin, "rev-parse", "main") == before


def test_what_was_made_from_an_entry_that_is_left_out_is_left_out_too(done: Path) -> None:
    for name in ("scenes", "chips", "split", "train"):  # as in a workspace, where all of it is there by hash alone
        shutil.rmtree(done / "data" / name)
    with open_workspace(done, sparse=True) as recorder:
        assert not drop_stale(recorder)
        recorder.drop(["scenes@red"])
        chips = [f"chips@red-{part}" for part in "abc"]
        assert drop_stale(recorder) == [*chips, "split", "train@1", "train@2"]
        assert {"scenes@blue", "chips@blue-a"} <= set(recorder.recorded_addresses())
