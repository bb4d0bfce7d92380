"""A workspace a run: at its commit, with the host's cache, of a repository that the worker may clone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.versions.git import check_repository, check_revision, git
from flows.versions.host import Host
from flows.versions.workspace import REPOSITORIES, locked, same_packages, workspace
from tasks.core.errors import FlowError
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


@pytest.fixture
def origin(project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The toy project as a repository that this worker may clone."""
    monkeypatch.setenv(REPOSITORIES, str(project))
    return str(project)


def test_a_workspace_is_a_clone_at_its_commit_with_the_hosts_cache_and_is_gone_after_success(
    host: Host, origin: str, project: Path
) -> None:
    commit = git(project, "rev-parse", "HEAD")
    toy.touch(project, "red: 2", "red: 20")  # somebody edits the checkout meanwhile
    with workspace(host, origin, "main", "run-1") as space:
        assert space.commit == commit == git(space.root, "rev-parse", "HEAD")
        assert "red: 2," in (space.root / "params.yaml").read_text()
        assert git(space.root, "status", "--porcelain") == ""
        assert git(space.root, "config", "remote.origin.url") == origin
        assert toy.shell(space.root, "dvc cache dir").strip() == str(host.cache)
        toy.repro(space.root, "check")
        assert (space.root / "data/check.json").stat().st_ino in {
            path.stat().st_ino for path in host.cache.rglob("*") if path.is_file()
        }, "a hard link into the cache, no copy"
    assert list(host.workspaces.glob("*")) == []


@pytest.mark.parametrize("revision", ["v1", "main", "whole"])
def test_a_revision_is_a_tag_a_branch_or_a_whole_commit(revision: str, host: Host, origin: str, project: Path) -> None:
    git(project, "tag", "v1")
    commit = git(project, "rev-parse", "HEAD")
    with workspace(host, origin, commit if revision == "whole" else revision, "run") as space:
        assert space.commit == commit


@pytest.mark.parametrize(
    "revision", ["--upload-pack=touch x", "main..v1", "main@{1}", "HEAD^", "", "no-such", "0" * 40]
)
def test_what_is_no_revision_of_the_repository_is_refused_by_name(revision: str, host: Host, origin: str) -> None:
    refused = pytest.raises(FlowError, match=r"branch, a tag or a commit|no branch, tag or commit")
    with refused, workspace(host, origin, revision, "run"):
        pass


def test_a_name_with_a_blank_is_no_revision() -> None:
    with pytest.raises(FlowError, match="not the name"):
        check_revision("a b")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ext::sh -c touch% x", "not the URL"),
        ("--upload-pack=touch x", "not the URL"),
        ("https://somebody:secret@example.org/x.git", "password in its URL"),
        ("https://token@example.org/x.git", "password in its URL"),
        ("gopher://example.org/x.git", "gopher"),
        ("https://example.org/ours/../theirs.git", r"\.\."),
    ],
)
def test_a_url_that_git_must_not_be_given_is_refused_and_no_secret_repeated(url: str, said: str) -> None:
    with pytest.raises(FlowError, match=said) as refused:
        check_repository(url)
    assert "secret" not in str(refused.value) and "token" not in str(refused.value)


def test_only_repositories_that_the_worker_is_given_are_cloned(
    host: Host, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(REPOSITORIES, raising=False)
    with (
        pytest.raises(FlowError, match=f"may clone none.*{REPOSITORIES}"),
        workspace(host, str(project), "main", "run"),
    ):
        pass
    monkeypatch.setenv(REPOSITORIES, f"https://example.org/ours/, {project.parent}/")
    with workspace(host, str(project), "main", "run"):
        pass
    with pytest.raises(FlowError, match="may clone only"), workspace(host, str(project.parent), "main", "run"):
        pass


def test_partial_results_of_a_run_that_died_are_taken_over_and_its_folder_removed(host: Host, origin: str) -> None:
    class Died(BaseException):
        pass

    with pytest.raises(Died), workspace(host, origin, "main", "first") as space:
        (space.root / ".earthloom/work/train@1").mkdir(parents=True)
        (space.root / ".earthloom/work/train@1/step").write_text("7")
        raise Died
    assert (host.workspaces / "first").is_dir()
    with workspace(host, origin, "main", "second") as space:
        assert (space.root / ".earthloom/work/train@1/step").read_text() == "7"
        assert not (host.workspaces / "first").exists()


def test_a_run_that_is_tried_again_finds_its_own_workspace(host: Host, origin: str) -> None:
    with pytest.raises(ZeroDivisionError), workspace(host, origin, "main", "run") as space:
        (space.root / ".earthloom/work/x").mkdir(parents=True)
        (space.root / "params.yaml").write_text("broken")
        raise ZeroDivisionError
    with workspace(host, origin, "main", "run") as space:
        assert (space.root / ".earthloom/work/x").is_dir()
        assert git(space.root, "status", "--porcelain") == ""


def test_a_workspace_at_work_is_not_taken_and_its_lock_goes_with_its_process(host: Host, origin: str) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from flows.versions.host import Host; from flows.versions.workspace import workspace\n"
        f"with workspace(Host(Path({str(host.home)!r})), {origin!r}, 'main', 'run'):\n"
        "    print('in', flush=True); sys.stdin.read()"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == "in\n"
        with pytest.raises(FlowError, match="another process of this run"), workspace(host, origin, "main", "run"):
            pass
        with workspace(host, origin, "main", "other"):
            assert (host.workspaces / "run").is_dir()
        process.kill()
        process.wait()
    with workspace(host, origin, "main", "other"):
        assert not (host.workspaces / "run").exists()


def test_packages_of_other_versions_than_the_revisions_are_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("# made by hand\npyyaml==1.0\nno-such-package==1.0\n")
    with pytest.raises(FlowError, match=r"pyyaml .* \(==1.0\).*make env"):
        same_packages(tmp_path)
    same_packages(Path(__file__).parents[3])


def test_a_lock_file_that_was_removed_by_its_holder_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        path.unlink()
        with locked(path, wait=False):
            pass
    with locked(path), pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
