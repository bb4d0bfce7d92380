"""Versions and what is in service, by tags that GTO and DVC read alike, in real repositories."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo
from gto import api

from flows.versions.git import git
from flows.versions.registry import MODEL, MovedError, Registry, assign, read
from tasks.core.errors import FlowError

WHO = {
    "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@example.org",
    "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@example.org",
}  # fmt: skip


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A bare repository with three versions of the model."""
    origin, work = tmp_path / "origin.git", tmp_path / "work"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", str(origin))
    git(tmp_path, "clone", "--quiet", str(origin), str(work))
    (work / ".dvc").mkdir()
    (work / ".dvc/config").write_text("")
    for number in (1, 2, 3):
        (work / "dvc.yaml").write_text(f"artifacts:\n  {MODEL}:\n    path: model-{number}\n    type: model\n")
        git(work, "add", ".")
        git(work, "commit", "--quiet", "-m", f"model {number}", env=WHO)
        git(work, "tag", "--annotate", "-m", "released", f"{MODEL}@v0.0.{number}", env=WHO)
    git(work, "push", "--quiet", "origin", "HEAD:refs/heads/main", "--tags")
    return origin


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Iterator[Path]:
    """A mirror as a host keeps one; who works in it has no name of their own."""
    mirror = tmp_path / "mirror.git"
    git(tmp_path, "clone", "--quiet", "--mirror", str(origin), str(mirror))
    yield mirror


def fresh(clone: Path) -> Registry:
    git(clone, "fetch", "--quiet", "--prune", "origin")
    return read(clone)


def serve(clone: Path, name: str) -> str:
    known = fresh(clone)
    return assign(clone, git(clone, "config", "remote.origin.url"), known, known.version(name), f"{name} held")


def readers(clone: Path) -> list[str]:
    """What everybody says is in service."""
    known = fresh(clone)
    assert known.in_service is not None
    shown = api.show(str(clone))[MODEL]["stage"]["production"]
    which = api.find_versions_in_stage(str(clone), MODEL, "production")
    work = clone.parent / "work"
    git(work, "fetch", "--quiet", "--tags", "origin")
    with Repo(str(work)) as repo:
        commit = repo.artifacts.get_rev(MODEL, stage="production")
    by_commit = {version.commit: version.name for version in known.versions}
    return [known.in_service.name, shown, *[found.version for found in which], by_commit[commit]]


def test_nothing_is_in_service_until_a_version_is_put_there(clone: Path) -> None:
    known = read(clone)
    assert [version.name for version in known.versions] == ["v0.0.3", "v0.0.2", "v0.0.1"]
    assert known.in_service is None and known.before is None
    assert serve(clone, "v0.0.1") == f"{MODEL}#production#1"
    assert readers(clone) == ["v0.0.1"] * 4


def test_gto_and_dvc_agree_on_what_is_in_service_after_moves_forward_and_back_within_one_second(clone: Path) -> None:
    for name in ("v0.0.1", "v0.0.3", "v0.0.2", "v0.0.3", "v0.0.1"):
        serve(clone, name)
        assert readers(clone) == [name] * 4


def test_a_roll_back_leads_to_the_version_before_and_a_second_one_further(clone: Path) -> None:
    for name in ("v0.0.1", "v0.0.2", "v0.0.3"):
        serve(clone, name)
    for expected in ("v0.0.2", "v0.0.1"):
        before = fresh(clone).before
        assert before is not None and before.name == expected
        serve(clone, before.name)
    known = fresh(clone)
    assert known.before is None
    assert known.was_taken_out("v0.0.3") and not known.was_taken_out("v0.0.1")


def test_of_two_moves_at_once_one_wins_and_the_other_is_refused(clone: Path, origin: Path, tmp_path: Path) -> None:
    serve(clone, "v0.0.1")
    other = tmp_path / "other.git"
    git(tmp_path, "clone", "--quiet", "--mirror", str(origin), str(other))
    mine, theirs = fresh(clone), fresh(other)
    assign(other, str(origin), theirs, theirs.version("v0.0.2"), "theirs")
    with pytest.raises(MovedError):
        assign(clone, str(origin), mine, mine.version("v0.0.3"), "mine")
    assert readers(clone) == ["v0.0.2"] * 4


def test_a_repository_that_refuses_the_tag_loses_nothing(clone: Path, origin: Path) -> None:
    serve(clone, "v0.0.1")
    hook = origin / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'models are not moved on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)
    fresh(clone)
    tags = git(clone, "tag", "--list")
    with pytest.raises(FlowError, match="not moved on Fridays") as refused:
        serve(clone, "v0.0.2")
    assert not isinstance(refused.value, MovedError)
    assert git(clone, "tag", "--list") == git(origin, "tag", "--list") == tags
    assert readers(clone) == ["v0.0.1"] * 4
    hook.unlink()
    serve(clone, "v0.0.2")
    assert set(tags.splitlines()) < set(git(origin, "tag", "--list").splitlines())
    assert readers(clone) == ["v0.0.2"] * 4


def test_a_push_whose_answer_was_lost_has_happened(clone: Path, origin: Path) -> None:
    hook = origin / "hooks/post-receive"  # the refs are moved by then, and the connection breaks
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    assert serve(clone, "v0.0.1") == f"{MODEL}#production#1"
    assert readers(clone) == ["v0.0.1"] * 4


def test_a_host_whose_clock_is_behind_puts_its_version_into_service_all_the_same(clone: Path, origin: Path) -> None:
    later = {**WHO, "GIT_COMMITTER_DATE": f"@{int(time.time()) + 86400} +0000"}
    git(clone, "tag", "--annotate", "-m", "from tomorrow", f"{MODEL}#production#1", f"{MODEL}@v0.0.2^{{}}", env=later)
    git(clone, "push", "--quiet", str(origin), f"refs/tags/{MODEL}#production#1")
    assert readers(clone) == ["v0.0.2"] * 4
    serve(clone, "v0.0.3")
    assert readers(clone) == ["v0.0.3"] * 4


def test_an_unknown_version_is_named_with_those_there_are(clone: Path) -> None:
    with pytest.raises(FlowError, match=r"no version 'v9'.*v0\.0\.3, v0\.0\.2, v0\.0\.1"):
        read(clone).version("v9")


def test_a_commit_that_was_assigned_by_hand_and_is_no_version_gives_way(clone: Path, origin: Path) -> None:
    work = clone.parent / "work"
    git(work, "commit", "--quiet", "--allow-empty", "-m", "not released", env=WHO)
    git(work, "tag", "--annotate", "-m", "by hand", f"{MODEL}#production#1", env=WHO)
    git(work, "push", "--quiet", "origin", "HEAD:refs/heads/main", "--tags")
    known = fresh(clone)
    assert known.assigned == [git(work, "rev-parse", "HEAD")]
    with pytest.raises(FlowError, match="has no version"):
        _ = known.in_service
    serve(clone, "v0.0.2")
    assert readers(clone) == ["v0.0.2"] * 4
