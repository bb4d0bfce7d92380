"""flows/promote.py: a better model comes into service by itself, a worse one does not, and nothing is lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.promote import promote
from flows.versions.git import git
from flows.versions.host import HOME
from flows.versions.registry import assign, read
from flows.versions.workspace import REMOTE, REPOSITORIES
from tests.flows.model_toy import ModelToy

pytest_plugins = ["tests.flows.fixtures"]
VERSIONS = ((70, 0), (90, 0), (90, 0), (40, 0), (92, 5))
"""Right answers of 100, and how far the test side has moved, of v0.0.1 to v0.0.5."""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> ModelToy:
    """A repository with five released models; nothing is in service."""
    toy = ModelToy.make(tmp_path_factory.mktemp("models"))
    for skill, seed in VERSIONS:
        toy.release(skill, seed)
    return toy


@pytest.fixture
def models(released: ModelToy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelToy:
    """A copy of it, and a worker that may clone it."""
    toy = released.copy(tmp_path)
    monkeypatch.setenv(HOME, str(tmp_path / "host"))
    monkeypatch.setenv(REPOSITORIES, str(toy.origin))
    monkeypatch.setenv(REMOTE, str(toy.remote))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return toy


def serve(toy: ModelToy, number: int) -> None:
    """Put a version into service without any flow."""
    known = read(toy.origin)
    assign(toy.checkout, str(toy.origin), known, known.version(f"v0.0.{number}"), "by hand")


def in_service(toy: ModelToy) -> str:
    version = read(toy.origin).in_service
    return version.name if version else ""


def run(toy: ModelToy, number: int | None, **parameters: Any) -> Any:
    revision = None if number is None else f"earthdial@v0.0.{number}"
    return promote(repository=str(toy.origin), revision=revision, return_state=True, **parameters)


def asked(tmp_path: Path) -> list[str]:
    path = tmp_path / "asked"
    return path.read_text().split() if path.exists() else []


def verdict() -> str:
    async def latest() -> str:
        async with get_client() as client:
            found = await client.read_artifacts(
                artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["promote-verdict"])), limit=200
            )
            return str(max(found, key=lambda artifact: artifact.created).data)

    return asyncio.run(latest())


def test_the_first_model_is_promoted_if_it_beats_its_controls(server: str, models: ModelToy, tmp_path: Path) -> None:
    state = run(models, 1)
    assert (state.name, in_service(models)) == ("Promoted", "v0.0.1"), state.message
    page = verdict()
    assert "earthdial@v0.0.1 passes the gate, with no model in service yet" in page
    assert "| the model | 0.7" in page and "no image" in page and "## Reasons" in page
    assert asked(tmp_path) == []
    message = git(models.origin, "tag", "--list", "--format=%(contents)", "earthdial#production#1")
    assert "over no image, the closest control" in message, "the tag keeps the verdict"


def test_a_better_model_takes_its_place_and_a_worse_one_is_held_back(
    server: str, models: ModelToy, tmp_path: Path
) -> None:
    serve(models, 1)
    state = run(models, 2)
    assert (state.name, in_service(models)) == ("Promoted", "v0.0.2"), state.message
    assert asked(tmp_path) == [], "it had answered the same questions when it was evaluated"
    state = run(models, 4)
    assert state.is_completed() and (state.name, in_service(models)) == ("HeldBack", "v0.0.2"), state.message
    assert "over the model in service" in verdict() and "worse" in verdict()
    assert list((tmp_path / "host/workspaces").glob("*")) == [], "no workspace is left"


def test_the_model_in_service_is_asked_new_questions_but_for_places_it_was_trained_on(
    server: str, models: ModelToy, tmp_path: Path
) -> None:
    serve(models, 1)
    state = run(models, None)
    assert (state.name, in_service(models)) == ("Promoted", "v0.0.5"), state.message
    assert asked(tmp_path) == ["v0.0.1"]
    assert "20 of 120 questions are about places that the model in service was trained on" in verdict()
    cached = {path.name for path in (tmp_path / "host/cache").rglob("*") if path.is_file()}
    lock = git(models.checkout, "show", "earthdial@v0.0.5:dvc.lock")
    assert cached and "shard-2" not in lock
    assert len(cached) < len([path for path in models.remote.rglob("*") if path.is_file()]), "what it needs alone"


@pytest.mark.parametrize(("number", "name"), [(3, "Unchanged"), (2, "InService")])
def test_there_is_nothing_to_do_for_the_same_model(server: str, models: ModelToy, number: int, name: str) -> None:
    serve(models, 2)
    before = git(models.origin, "tag", "--list")
    state = run(models, number)
    assert state.name == name and git(models.origin, "tag", "--list") == before


def test_a_model_that_was_rolled_back_is_not_put_back_by_a_run(server: str, models: ModelToy) -> None:
    for number in (1, 2, 1):
        serve(models, number)
    state = run(models, 2)
    assert (state.name, in_service(models)) == ("HeldBack", "v0.0.1")
    assert "earthloom rollback --to v0.0.2" in str(state.message)


def test_a_dry_run_needs_no_server_and_moves_nothing(models: ModelToy) -> None:
    serve(models, 1)
    before = git(models.origin, "tag", "--list")
    for number, name in ((2, "WouldPromote"), (4, "WouldHoldBack")):
        state = promote.fn(repository=str(models.origin), revision=f"earthdial@v0.0.{number}", dry_run=True)
        assert state.name == name, state.message
    assert git(models.origin, "tag", "--list") == before


def test_two_promotions_at_once_do_not_both_win(server: str, models: ModelToy, tmp_path: Path) -> None:
    """While one is judged, another goes into service: the first is judged again, against that one."""
    serve(models, 1)
    quicker = tmp_path / "quicker"
    hook = models.origin / "hooks/pre-receive"
    hook.write_text(
        f"#!/bin/sh\n[ -e {quicker} ] && exit 0\ntouch {quicker}\nunset GIT_QUARANTINE_PATH\n"
        # Later than what is in service, as a run makes it: times of assignments rise by a second at least.
        'export GIT_COMMITTER_DATE="$(($(date +%s) + 3)) +0000"\n'
        "exec git -c user.name=x -c user.email=x@y tag -a -m quicker earthdial#production#2 'earthdial@v0.0.2^{}'\n"
    )
    hook.chmod(0o755)
    state = run(models, 5)
    assert (state.name, in_service(models)) == ("Promoted", "v0.0.5"), state.message
    assert "beside earthdial@v0.0.2, which is in service" in verdict()
    won = git(models.origin, "tag", "--list", "--format=%(refname:short) %(*objectname)", "earthdial#production#*")
    commits = {line.split()[0].rpartition("#")[2]: line.split()[1] for line in won.splitlines()}
    known = read(models.origin)
    assert [commits[number] for number in "123"] == [known.version(f"v0.0.{number}").commit for number in (1, 2, 5)]


def test_a_repository_that_refuses_the_tag_fails_the_run_and_the_next_one_promotes(
    server: str, models: ModelToy
) -> None:
    hook = models.origin / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'protected tags' >&2\nexit 1\n")
    hook.chmod(0o755)
    state = run(models, 1)
    assert state.is_failed() and "protected tags" in str(state.message) and in_service(models) == ""
    hook.unlink()
    assert run(models, 1).name == "Promoted"


def test_a_model_that_is_not_on_the_remote_cannot_be_judged(server: str, models: ModelToy) -> None:
    serve(models, 1)
    for path in models.remote.rglob("*"):
        if path.is_file():
            path.unlink()
    state = run(models, 5)
    assert state.is_failed() and in_service(models) == "v0.0.1"
    assert "predictions.parquet is neither in the cache nor on the remote" in str(state.message)


def test_a_model_in_service_that_cannot_be_asked_fails_by_name(
    server: str, models: ModelToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(models, 1)
    monkeypatch.setenv("UNASKABLE", "yes")
    state = run(models, 5)
    assert state.is_failed() and in_service(models) == "v0.0.1"
    assert "earthdial@v0.0.1, which is in service, could not be asked" in str(state.message)
    assert "a layer of this model is not known here" in str(state.message)


def test_a_commit_that_is_no_version_is_not_judged(server: str, models: ModelToy) -> None:
    models.commit("no model", "v1")
    state = promote(repository=str(models.origin), revision="v1", return_state=True)
    assert state.is_failed() and "is no version of earthdial" in str(state.message)


def test_predictions_of_another_training_are_refused_by_name(server: str, models: ModelToy) -> None:
    lock = models.checkout / "dvc.lock"
    text = lock.read_text()
    head, _, tail = text.partition("  train:")
    md5 = next(line for line in tail.split("outs:")[1].splitlines() if "md5: " in line and ".dir" in line).split()[-1]
    lock.write_text(head + "  train:" + tail.replace(md5, "0" * 32 + ".dir", 1))
    models.commit("edited by hand", "earthdial@v0.0.6")
    state = run(models, 6)
    assert state.is_failed() and "predictions are not of its own data/train/3" in str(state.message)


def test_a_worker_that_may_not_clone_the_repository_asks_it_nothing(
    server: str, models: ModelToy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(REPOSITORIES, "https://example.org/ours.git")
    state = run(models, 1)
    assert state.is_failed() and "may clone only" in str(state.message)
    assert not (tmp_path / "host/mirrors").exists()
