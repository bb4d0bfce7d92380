"""A workspace a run: a clone at a pinned commit, with the host's one DVC cache, never a checkout that people edit.

A run that was killed leaves its workspace. The next one of the same repository takes over the partial results in it
(stages check by their fingerprints whether they fit), and removes it.
"""

import fcntl
import hashlib
import importlib.metadata
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dvc.config import Config
from packaging.requirements import Requirement
from packaging.version import Version

from flows.versions.git import COMMIT, GitError, check_repository, check_revision, git
from flows.versions.host import Host
from tasks.core import paths
from tasks.core.errors import FlowError

logger = logging.getLogger(__name__)
REPOSITORIES = "EARTHLOOM_REPOSITORIES"
"""Variable of a worker: URLs that it may clone, or what they begin with up to a `/`, separated by commas."""
REMOTE = "EARTHLOOM_REMOTE"
"""Variable of a worker: URL of the DVC remote, where it is another than the repository's own."""
ENDPOINT = "EARTHLOOM_REMOTE_ENDPOINT"
"""Variable of a worker: where the S3 API of that remote answers, unless it is Amazon's."""
LOCK = "requirements.lock"
SHOWN = 4
"""Differences that a message names; the others are counted."""


@dataclass(frozen=True)
class Workspace:
    """A folder to run in."""

    root: Path
    repository: str
    commit: str
    """Of the clone, 40 hexadecimal digits."""


@contextmanager
def workspace(host: Host, repository: str, revision: str, name: str) -> Iterator[Workspace]:
    """Make the workspace `name` of a host at a revision; it is removed if the block succeeds.

    Args:
        host: whose cache and mirrors are used.
        repository: URL or folder of a git repository that this worker may clone.
        revision: branch, tag or commit.
        name: of the folder; a run that is tried again has the same one, and finds its partial results.

    Raises:
        FlowError: the worker may not clone the repository, there is no such revision, another run works there, or
            the packages installed here are not those of the revision.
    """
    allowed(repository)
    mirror = update_mirror(host, repository)
    commit = resolve(mirror, revision)
    root = host.workspaces / name
    host.workspaces.mkdir(parents=True, exist_ok=True)
    with _alone(root):
        _clone(mirror, repository, commit, root)
        _configure(host, root)
        same_packages(root)
        _take_over(host, repository, root)
        yield Workspace(root, repository, commit)
        shutil.rmtree(root)


def allowed(repository: str) -> None:
    """Check that this worker may clone a repository.

    Raises:
        FlowError: `EARTHLOOM_REPOSITORIES` does not name it, or the URL is none that git should be given.
    """
    check_repository(repository)
    names = [name.strip() for name in os.environ.get(REPOSITORIES, "").split(",") if name.strip()]
    if any(repository == name or (name.endswith("/") and repository.startswith(name)) for name in names):
        return
    known = f"only {', '.join(names)}" if names else "none"
    raise FlowError(
        f"this worker may clone {known}, not {repository}. Set {REPOSITORIES} in the worker's environment to the URLs "
        "that it may run code of."
    )


def update_mirror(host: Host, repository: str) -> Path:
    """The host's bare clone of a repository, brought up to date."""
    mirror = host.mirrors / f"{hashlib.sha256(repository.encode()).hexdigest()[:16]}.git"
    host.mirrors.mkdir(parents=True, exist_ok=True)
    with locked(mirror.with_suffix(".lock")):
        if not (mirror / "HEAD").is_file():
            git(host.mirrors, "init", "--quiet", "--bare", mirror.name)
        # By its URL, not as a remote: the mirror has no settings that a repository could have had a part in.
        git(
            mirror,
            "fetch",
            "--quiet",
            "--prune",
            "--force",
            "--",
            repository,
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
        )
    return mirror


def resolve(mirror: Path, revision: str) -> str:
    """The commit that a branch, a tag or a commit's own name stands for.

    Raises:
        FlowError: the repository has none of that name.
    """
    check_revision(revision)
    names = [revision] if COMMIT.fullmatch(revision) else [f"refs/heads/{revision}", f"refs/tags/{revision}"]
    for name in names:
        with suppress(GitError):
            return git(mirror, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    raise FlowError(f"the repository has no branch, tag or commit {revision!r}; commits are named in full")


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock file of this host. A process that dies lets go of it.

    Raises:
        BlockingIOError: it is held, and `wait` is false.
    """
    while True:
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            with suppress(FileNotFoundError):  # the one who held it has removed it meanwhile: another file now
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    yield
                    return


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    path = _lock_of(root)
    try:
        with locked(path, wait=False):
            yield
            path.unlink(missing_ok=True)
    except BlockingIOError as error:
        raise FlowError(f"another process of this run works in {root}; it must end first") from error


def _lock_of(root: Path) -> Path:
    return root.with_name(f".{root.name}.lock")


def _clone(mirror: Path, repository: str, commit: str, root: Path) -> None:
    """Clone the mirror, or bring a clone that an earlier try left back to the commit, its outputs apart."""
    if not (root / ".git").is_dir():
        shutil.rmtree(root, ignore_errors=True)
        git(mirror.parent, "clone", "--quiet", "--local", "--no-checkout", "--", str(mirror), str(root))
    else:
        git(root, "fetch", "--quiet", "origin", commit)
    git(root, "checkout", "--quiet", "--force", "--detach", commit)
    git(root, "config", "remote.origin.url", repository)


def _configure(host: Host, root: Path) -> None:
    """Settings of DVC in this clone: one cache a host, and the remote of this worker. No credential is among them."""
    if not (root / ".dvc").is_dir():
        raise FlowError("the repository has no DVC project at its root (.dvc is missing at this revision)")
    host.cache.mkdir(parents=True, exist_ok=True)
    with Config(str(root / ".dvc"), validate=False).edit("local") as config:
        # Links where the file system has them: a workspace of a terabyte of chips takes no second terabyte.
        config["cache"] = {"dir": str(host.cache), "type": ["reflink", "hardlink", "copy"]}
        config["core"] = {"site_cache_dir": str(host.dvc_site), "analytics": False, "check_update": False}
        if url := os.environ.get(REMOTE):
            endpoint = os.environ.get(ENDPOINT)
            config["core"]["remote"] = "worker"
            config["remote"] = {"worker": {"url": url} | ({"endpointurl": endpoint} if endpoint else {})}
    for name, of_host in (("answers", host.answers), ("results", host.results)):
        link = root / ".earthloom" / name
        if not link.exists():
            link.parent.mkdir(exist_ok=True)
            of_host.mkdir(parents=True, exist_ok=True)
            link.symlink_to(of_host)


def same_packages(root: Path) -> None:
    """Check that what is installed here is what the revision asks for.

    Raises:
        FlowError: names the packages of another version.
    """
    lock = root / LOCK
    differing = []
    for line in lock.read_text().splitlines() if lock.is_file() else []:
        if not re.match(r"[A-Za-z0-9]", line):
            continue
        wanted = Requirement(line)
        # A package that is missing changes no result: who needs it says so. Development ones are, in an image.
        with suppress(importlib.metadata.PackageNotFoundError):
            there = Version(importlib.metadata.version(wanted.name))
            if not wanted.specifier.contains(there, prereleases=True):
                differing.append(f"{wanted.name} {there} ({wanted.specifier})")
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise FlowError(
            f"this worker's packages are not those of the revision's {LOCK}: {', '.join(differing[:SHOWN])}{more}. "
            "Install the worker from that revision (`make env`), or run a revision that it was installed from."
        )


def validate(root: Path) -> None:
    """Check params.yaml of a workspace by the workspace's own code, which may ask for others than the worker's.

    Raises:
        FlowError: says what `earthloom check` says of it.
    """
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "1000"}
    words = [sys.executable, "-m", "earthloom", "check"]
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FlowError(f"the revision's own check: {(done.stdout + done.stderr).strip()}")


def _take_over(host: Host, repository: str, root: Path) -> None:
    """Move partial results of dead runs of the repository here, and remove their workspaces."""
    for other in sorted(host.workspaces.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        if other == root or not (other / ".git").is_dir():
            continue
        try:
            with locked(_lock_of(other), wait=False):
                if git(other, "config", "remote.origin.url") != repository:
                    continue
                for work in sorted((other / paths.WORK).glob("*")):
                    here = root / paths.WORK / work.name
                    if not here.exists():
                        here.parent.mkdir(parents=True, exist_ok=True)
                        os.rename(work, here)
                shutil.rmtree(other)
                _lock_of(other).unlink(missing_ok=True)
                logger.info("took over the partial results of %s, a run that had died", other.name)
        except (BlockingIOError, GitError):  # it is at work, or was killed before it was a clone
            continue
