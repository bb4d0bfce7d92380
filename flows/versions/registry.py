"""Versions of the model, and which is in service: GTO's tags in the repository, nothing beside them.

`earthdial@v0.0.3` is a version, `earthdial#production#7` puts the version at its commit into service, and
`earthdial#production!#8` takes one out. Who reads them does not agree on which counts: `gto show` the last one
assigned, GTO's `which` the highest version that is assigned, `dvc artifacts get --stage` the last tag of the stage,
assigned or taken out; and all of them err within one second. So a move takes every other version out, gives its tags
times that rise, and the assignment the last: then all agree (tests/flows/versions/test_registry.py).

Two moves at once want the same number, and a repository has a tag once: one of them wins, the other is refused.
"""

import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from gto import api
from gto.exceptions import GTOException

from flows.versions.git import GitError, git, identity
from tasks.core.errors import FlowError
from tasks.evaluation.names import RELEASED

MODEL = RELEASED
"""Name of the model in the registry, and of the artifact in dvc.yaml."""
STAGE = "production"
"""GTO's stage of the version in service."""
SHOWN = 6
"""Versions that a message names."""


class MovedError(FlowError):
    """Another run has put a version into service meanwhile: what was judged against is no longer in service."""


@dataclass(frozen=True)
class Version:
    """A released model."""

    name: str
    """`v0.0.3`."""
    commit: str
    at: datetime

    @property
    def tag(self) -> str:
        """Its tag in the repository."""
        return f"{MODEL}@{self.name}"


@dataclass(frozen=True)
class Move:
    """A version put into service, or taken out."""

    name: str
    commit: str
    at: datetime
    into: bool


@dataclass(frozen=True)
class Registry:
    """What the tags say."""

    versions: tuple[Version, ...]
    """The newest first."""
    moves: tuple[Move, ...]
    """Of the stage, in the order of time."""
    number: int
    """Highest number of a tag of the model's stages."""
    latest: int
    """Time of the latest of all these tags, seconds since 1970."""

    @cached_property
    def assigned(self) -> list[str]:
        """Versions that are assigned to the stage, the last one at the end."""
        found: list[str] = []
        for move in self.moves:
            found = [name for name in found if name != move.name]
            if move.into:
                found.append(move.name)
        return found

    @property
    def in_service(self) -> Version | None:
        """The version in service.

        Raises:
            FlowError: it is no released version.
        """
        return self.version(self.assigned[-1]) if self.assigned else None

    @property
    def before(self) -> Version | None:
        """The version that a roll back leads to: that in service before, and after a roll back the one before that."""
        line: list[str] = []
        for move in self.moves:
            if move.into:
                line = line[: line.index(move.name)] if move.name in line else line
                line.append(move.name)
        known = {version.name: version for version in self.versions}
        now = self.assigned[-1] if self.assigned else None
        return next((known[name] for name in reversed(line) if name != now and name in known), None)

    def since(self, name: str) -> datetime | None:
        """When a version was last put into service."""
        return next((move.at for move in reversed(self.moves) if move.into and move.name == name), None)

    def was_taken_out(self, name: str) -> bool:
        """Whether a version has been in service and is not now."""
        return self.since(name) is not None and name not in self.assigned

    def version(self, name: str) -> Version:
        """A version by its name, `v0.0.3` or `earthdial@v0.0.3`.

        Raises:
            FlowError: there is none of that name.
        """
        for version in self.versions:
            if name in (version.name, version.tag):
                return version
        there = ", ".join(version.name for version in self.versions[:SHOWN])
        raise FlowError(
            f"the repository has no version {name!r} of {MODEL}; "
            + (f"the newest are {there}" if there else "none has been released yet: `retrain` releases one")
        )


def read(root: Path) -> Registry:
    """What the tags of a repository, bare or not, say. Tags that only this clone has count too: ask a mirror.

    Raises:
        FlowError: GTO cannot make sense of them.
    """
    try:
        events = api.history(str(root), MODEL, ascending=True)
    except GTOException as error:
        raise FlowError(f"the tags of {MODEL} contradict each other: {error}") from error
    gone = {event["version"] for event in events if event["event"] == "deregistration"}
    versions = [
        Version(event["version"], event["commit"], event["timestamp"])
        for event in events
        if event["event"] == "registration" and event["version"] not in gone
    ]
    moves = tuple(
        Move(event["version"], event["commit"], event["timestamp"], event["event"] == "assignment")
        for event in events
        if event["stage"] == STAGE and event["version"] not in gone
    )
    numbers = [int(tag.rpartition("#")[2]) for tag in _tags(root) if re.fullmatch(rf"{MODEL}#.+#\d+", tag)]
    return Registry(
        tuple(sorted(versions, key=lambda version: _order(version.name), reverse=True)),
        moves,
        max(numbers, default=0),
        max((int(event["timestamp"].timestamp()) for event in events), default=0),
    )


def assign(root: Path, repository: str, known: Registry, version: Version, message: str) -> str:
    """Put a version into service and every other out, in the repository itself; all of it or nothing.

    Args:
        root: a clone that has the commits; its own tags are left alone.
        repository: URL that is pushed to.
        known: what was in service when this was decided.
        version: goes into service.
        message: why, for `git show`.

    Returns:
        The tag that puts it into service.

    Raises:
        MovedError: something else was put into service meanwhile.
        FlowError: the repository refused; nothing has changed.
    """
    # A host whose clock is behind would otherwise put a version into service before the one it replaces.
    now = max(int(time.time()), known.latest + 1)
    commits = {move.name: move.commit for move in known.moves}
    out = [commits[name] for name in known.assigned if name != version.name]
    tag = f"{MODEL}#{STAGE}#{known.number + 1}"
    objects = {}
    for number, commit in enumerate(out, start=known.number + 2):
        name = f"{MODEL}#{STAGE}!#{number}"
        objects[name] = _tag_object(root, name, commit, now, f"{version.name} takes its place")
    objects[tag] = _tag_object(root, tag, version.commit, now + 1, message)
    refs = [f"{sha}:refs/tags/{name}" for name, sha in objects.items()]
    try:
        git(root, "push", "--atomic", "--quiet", "--", repository, *refs)
    except GitError as error:
        there = git(root, "ls-remote", "--", repository, f"refs/tags/{tag}").split()
        if there and there[0] == objects[tag]:
            return tag  # it had taken them, and only the answer was lost
        if there:
            raise MovedError(f"another run has put a version of {MODEL} into service meanwhile") from error
        raise FlowError(
            f"{version.tag} was not put into service, and nothing has changed: the repository did not take the tag "
            f"{tag}: {error.detail}"
        ) from error
    return tag


def _tag_object(root: Path, name: str, commit: str, at: int, message: str) -> str:
    """Hash of an annotated tag that no ref of this clone names: if it is refused, it was never here."""
    who = git(root, "var", "GIT_COMMITTER_IDENT", env={**identity(root), "GIT_COMMITTER_DATE": f"@{at} +0000"})
    with tempfile.NamedTemporaryFile("w", suffix=".tag", encoding="utf-8") as file:
        file.write(f"object {commit}\ntype commit\ntag {name}\ntagger {who}\n\n{message.strip()}\n")
        file.flush()
        return git(root, "hash-object", "-t", "tag", "-w", "--no-filters", file.name)


def _tags(root: Path) -> Sequence[str]:
    return git(root, "tag", "--list", f"{MODEL}#*").splitlines()


def _order(name: str) -> tuple[Any, ...]:
    """Versions by their numbers, `v0.0.10` after `v0.0.9`."""
    return tuple(int(number) for number in re.findall(r"\d+", name)[:3])


def utc(at: datetime) -> str:
    """`2026-11-27 21:56`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
