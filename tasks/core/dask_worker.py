"""What a Dask worker does: a job, with what it keeps open, after it has said which code it has.

Everything here runs on workers, and is named to them by its module: they have the same code, or are refused.
"""

import platform
import shutil
import tempfile
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from distributed import get_worker

from tasks.core.code import code
from tasks.core.errors import ClusterError, SceneError
from tasks.core.fan_out import Job, Make, Result, Stores, Work, make_result
from tasks.core.results import Results

BLOCK = 32 * 2**20
"""Bytes of a result that are fetched at a time."""
_session = threading.local()


@dataclass(frozen=True)
class Identity:
    """What makes a worker's results what they are."""

    code: str
    """Hash of the code that does the work."""
    python: str
    distributed: str

    @classmethod
    def here(cls, module: str) -> "Identity":
        """Of this process."""
        python = ".".join(platform.python_version_tuple()[:2])
        return cls(code(module), python, metadata.version("distributed"))

    def differs(self, other: "Identity") -> str:
        """In what another one differs, in words; empty if in nothing."""
        words = {"code": "other code", "python": "Python", "distributed": "distributed"}
        found = [
            f"{word} {getattr(other, name)} (here {getattr(self, name)})"
            for name, word in words.items()
            if getattr(self, name) != getattr(other, name)
        ]
        return ", ".join(found)


@dataclass(frozen=True)
class Mark:
    """A file by which a worker knows that it sees the folder of the stage, and not another one of the same name."""

    path: str
    token: str

    def is_seen(self) -> bool:
        """Whether it is there."""
        with suppress(OSError):
            return Path(self.path).read_text() == self.token
        return False


@dataclass(frozen=True)
class Common:
    """What goes with every job."""

    work: Work
    identity: Identity
    stores: Stores
    marks: tuple[Mark, Mark]
    """Of the shared store and the run's own."""
    workers: int


@dataclass(frozen=True)
class Left:
    """Where a worker has left a result."""

    result: Result
    """Why there is none, or the folder."""
    held: tuple[str, dict[str, int], bool] | None = None
    """Where the stage does not see it: the worker's address, the files with their sizes, and whether to share it."""


class WrongVersionError(ClusterError):
    """A worker of another version."""


def do(job: Job, common: Common) -> Left:
    """On a worker: do a job, and leave its result where the stage sees it, or say where it is.

    Raises:
        WrongVersionError: this worker has other code than the stage.
        EarthloomError: the stage cannot go on.
    """
    make = _make(common)
    if all(mark.is_seen() for mark in common.marks):
        return Left(make_result(make, job, common.stores))
    folder = Path(tempfile.mkdtemp(prefix="earthloom-result-"))
    here = Stores(Results(folder / "shared"), Results(folder / "own"))
    place = make_result(make, job, here)
    if isinstance(place, SceneError):
        shutil.rmtree(folder)
        return Left(place)
    files = {
        path.relative_to(place).as_posix(): path.stat().st_size
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != "entry.json"
    }
    return Left(place, (get_worker().address, files, place.is_relative_to(here.shared.root)))


def _make(common: Common) -> Make:
    """What this thread of this worker keeps open for a work; that of another one is closed first."""
    if getattr(_session, "common", None) != common:
        here = Identity.here(common.work.module)
        if differs := common.identity.differs(here):
            raise WrongVersionError(f"worker {get_worker().address} would leave other results: {differs}")
        if hasattr(_session, "stack"):
            _session.stack.close()
        _session.stack = ExitStack()
        _session.make = _session.stack.enter_context(common.work.opened(common.workers))
        _session.common = common
    make: Make = _session.make
    return make


def read_block(path: Path, start: int) -> bytes:
    """On a worker: some bytes of a result."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(BLOCK)


def forget(place: Path) -> None:
    """On a worker: remove a result that was fetched, with the stores that were made for it alone."""
    shutil.rmtree(place.parents[2], ignore_errors=True)
