"""A run ends as a version: outputs pushed and verified, then commit, tag and branch at once, and an event.

Push first, commit second: what fails in between loses nothing, and is tried again. A released lock names only what is
on the remote, so that whoever clones it can pull it.
"""

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from prefect.logging import get_run_logger

from flows.recording import dvc_internals as dvc
from flows.recording import lockfile
from flows.recording.recorder import Recorder
from flows.versions import events
from flows.versions.events import announce
from flows.versions.git import GitError, check_revision, git, identity
from flows.versions.registry import MODEL
from flows.versions.remote import GoneError, Remote, outs_by_hash
from flows.versions.workspace import Workspace
from tasks.core.errors import FlowError
from tasks.core.section import PARAMS_FILE, read_params
from tasks.exchange.changes import Read, changes, scores


class BranchMovedError(FlowError):
    """Somebody else has committed to the branch meanwhile: the run must begin again from its new end."""


@dataclass(frozen=True)
class Kind:
    """What a run releases."""

    name: str
    title: str
    what: str
    """Becomes of it, as the event says."""
    resource: str


DATASET = Kind("dataset", "Dataset", "released", events.DATASET)
TRAINED = Kind("model", "Model", "trained", events.MODEL)


@dataclass(frozen=True)
class Release:
    """A version that others can have."""

    tag: str
    commit: str
    branch: str
    message: str


def release(workspace: Workspace, recorder: Recorder, remote: Remote, kind: Kind, branch: str) -> Release | None:
    """Make what the run has recorded a version, if anything in it is new.

    Args:
        workspace: of the run.
        recorder: of the same folder, open.
        remote: gets the outputs.
        kind: dataset or model.
        branch: gets the commit; it must still end at the workspace's.

    Returns:
        The version; None if dvc.lock has no entry that the commit has not.

    Raises:
        BranchMovedError: the branch has got other commits meanwhile.
        FlowError: the remote of DVC or of git refused.
    """
    check_revision(branch)
    logger = get_run_logger()
    committed = _entries(git(workspace.root, "show", "HEAD:dvc.lock") if _has_lock(workspace) else "")
    stale = drop_stale(recorder)
    made = {address: recorder.entry(address) for address in recorder.recorded_addresses()}
    absent = _push(recorder, remote, made)
    stale += drop_stale(recorder)
    if stale:
        logger.warning("not of this version, and left out of it: %s", ", ".join(stale))
    # What was left out is no news: it would be released once more by each run.
    kept = {address: made[address] for address in recorder.recorded_addresses()}
    if kept.items() <= committed.items():
        logger.info("nothing is new: no commit")
        return None
    news = _news(recorder, remote, kept, committed, kind)
    tag = _next_tag(workspace, kind)
    message = _message(kind, tag, news, stale, absent)
    commit = _commit(workspace, message, _kept_by_git(workspace, recorder))
    _publish(workspace, branch, tag, message)
    announce(kind.what, kind.resource, tag=tag, commit=commit, repository=workspace.repository, summary=message)
    logger.info("released %s on branch %s", tag, branch)
    if not re.search(r"^\s*remote\s*=", git(workspace.root, "show", "HEAD:.dvc/config"), re.MULTILINE):
        logger.warning("the repository names no DVC remote of its own, so a clone needs one to pull it: .dvc/config")
    return Release(tag, commit, branch, message)


def drop_stale(recorder: Recorder) -> list[str]:
    """Take entries out of dvc.lock that are of other inputs than it has now, and those that are made from them.

    Else the next run would find them, and release a version that differs in nothing but that.
    """
    stale: list[str] = []
    while found := recorder.drop([address for address in recorder.recorded_addresses() if recorder.changed(address)]):
        stale += found
    return stale


def _push(recorder: Recorder, remote: Remote, entries: Mapping[str, str]) -> list[str]:
    """Push the outputs of all entries; addresses of those that are nowhere, which are taken out of dvc.lock."""
    nowhere = []
    for address, entry in entries.items():
        outs = outs_by_hash(recorder.graph.by_address[address], entry)
        try:
            absent = remote.push(remote.objects(outs))
        except GoneError:
            absent = [*outs]
        if absent:
            nowhere.append(address)
    return recorder.drop(nowhere)


def _news(
    recorder: Recorder, remote: Remote, now: Mapping[str, str], committed: Mapping[str, str], kind: Kind
) -> list[str]:
    """What is new, in lines; the first one is for the headline."""
    if kind is TRAINED:
        return scores(_reader(recorder, remote, now)) or ["trained, and not evaluated"]
    params = read_params()
    found = changes(
        params["sensors"]["enabled"],
        params["grid"]["parts"],
        _reader(recorder, remote, now),
        _reader(recorder, remote, committed),
    )
    return [found.headline(), *found.text().splitlines()]


def _reader(recorder: Recorder, remote: Remote, entries: Mapping[str, str]) -> Read:
    """Reads files of the version that has these lock entries, by hash."""
    objects: dict[str, str] = {}
    for address, entry in entries.items():
        if (instance := recorder.graph.by_address.get(address)) is not None:
            outs = outs_by_hash(instance, entry)
            with suppress(GoneError):  # a version that was never pushed: nothing to compare with
                objects |= {path: md5 for md5, path in remote.objects(outs).items()}

    def read(path: str) -> bytes | None:
        try:
            return remote.read_object(objects[path], path) if path in objects else None
        except GoneError:
            return None

    return read


def _message(kind: Kind, tag: str, news: Sequence[str], stale: Iterable[str], absent: Iterable[str]) -> str:
    lines = [f"{kind.title} {tag.rpartition('-')[2].rpartition('@')[2]}: {news[0]}", "", *news[1:]]
    for title, addresses in (
        ("Left out, for it was made from another version of its inputs", stale),
        ("Left out, for its outputs are neither in the cache nor on the remote", absent),
    ):
        names = list(addresses)
        if names:
            lines += ["", f"{title}: {', '.join(names)}."]
    # DVC calls it a failure if a stage was never run, as training is not for a version of the dataset.
    lines += ["", f"To have it: git checkout {tag} && dvc pull --allow-missing"]
    return "\n".join(lines) + "\n"


def _next_tag(workspace: Workspace, kind: Kind) -> str:
    tags = set(git(workspace.root, "tag", "--list").splitlines())
    if kind is DATASET:
        today = f"dataset-{datetime.datetime.now(datetime.UTC):%Y.%m.%d}"
        names = (today if number == 1 else f"{today}.{number}" for number in range(1, 1000))
        return next(name for name in names if name not in tags)
    versions = [m.groups() for tag in tags if (m := re.fullmatch(rf"{MODEL}@v(\d+)\.(\d+)\.(\d+)", tag))]
    major, minor, patch = max((tuple(map(int, version)) for version in versions), default=(0, 0, 0))
    return f"{MODEL}@v{major}.{minor}.{patch + 1}"


def _kept_by_git(workspace: Workspace, recorder: Recorder) -> list[str]:
    """Outputs that DVC leaves to git (`cache: false`), where git does not ignore them."""
    there = [
        path
        for instance in recorder.graph.instances
        for path in instance.outs
        if path not in instance.cached and (workspace.root / path).exists()
    ]
    return [path for path in there if git(workspace.root, "status", "--porcelain", "--", path)]


def _commit(workspace: Workspace, message: str, others: list[str]) -> str:
    root = workspace.root
    git(root, "add", "--", "dvc.lock", str(PARAMS_FILE), *others)
    git(root, "commit", "--quiet", "--no-verify", "-m", message, env=identity(root))
    return git(root, "rev-parse", "HEAD")


def _publish(workspace: Workspace, branch: str, tag: str, message: str) -> None:
    """Push branch and tag at once, or neither."""
    root = workspace.root
    git(root, "tag", "--annotate", "-m", message, tag, env=identity(root))
    try:
        git(root, "push", "--atomic", "--quiet", workspace.repository, f"HEAD:refs/heads/{branch}", f"refs/tags/{tag}")
    except GitError as error:
        git(root, "tag", "--delete", tag)
        if any(words in error.detail for words in ("non-fast-forward", "fetch first", "already exists", "stale info")):
            raise BranchMovedError(
                f"branch {branch} has got other commits while this run worked, so its version is not put on top of them"
            ) from error
        raise FlowError(
            f"{tag} is on the DVC remote, but git could not push it to branch {branch}: {error}. Give the "
            "worker the right to push and run the same again: nothing that was made is made again."
        ) from error


def _has_lock(workspace: Workspace) -> bool:
    return bool(git(workspace.root, "ls-tree", "--name-only", "HEAD", "dvc.lock"))


def _entries(lock: str) -> dict[str, str]:
    """Lock entries as YAML by address, of the text of a dvc.lock."""
    return {
        address: dvc.as_text(dvc.from_text(text, "dvc.lock")[address]) for address, text in lockfile.read(lock).items()
    }
