"""Results kept by what they were made from: made once on a machine, whichever run and workspace asks for them.

An entry is a small folder of files under the hash of everything that it depends on, code included. It is made beside
its place and moved there whole; every file is held against its checksum before it is used, and an entry that does not
hold what was written to it is removed and made again. Nothing is ever changed in place.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tasks.core.stage import write_json

logger = logging.getLogger(__name__)
VARIABLE = "EARTHLOOM_CACHE"
"""Variable with the folder of the cache, where it is another than that of the workspace; one for several machines."""
FOLDER = Path(".earthloom/results")
"""Of a workspace; a run of a deployment links it to the one of its host."""
INDEX = "entry.json"
PARTIAL, REMOVED = ".partial-", ".removed-"
ABANDONED = 24 * 3600.0
"""Seconds after which a half-written entry is nobody's any more."""


@dataclass(frozen=True)
class Pruned:
    """What a pruning removed, and what it left."""

    removed: int
    freed: int
    """Bytes."""
    kept: int
    held: int
    """Bytes."""


@dataclass
class Draft:
    """An entry that is being written."""

    folder: Path
    store: "Results"
    """Where it goes, if it succeeds."""


class Results:
    """A folder of entries. Any number of processes may read, write and prune it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @classmethod
    def shared(cls) -> "Results":
        """The cache that `EARTHLOOM_CACHE` names, or this workspace's own."""
        return cls(Path(os.environ.get(VARIABLE) or FOLDER))

    def path(self, key: str) -> Path:
        """Where the entry of a key lies, if there is one."""
        return self.root / key[:2] / key[2:]

    def find(self, key: str) -> Path | None:
        """The folder of an entry, checked; None if there is none. One that is damaged is removed, and said so."""
        place = self.path(key)
        try:
            index = json.loads((place / INDEX).read_text())
            broken = [name for name, known in index.items() if _checksum(place / name) != known]
        except FileNotFoundError:
            if not place.is_dir():
                return None
            broken = [INDEX]
        except (ValueError, AttributeError, OSError) as error:
            broken = [f"{INDEX} ({error})"]
        if broken:
            logger.warning("%s does not hold what was written to it (%s): it is made again", place, ", ".join(broken))
            _remove(place)
            return None
        with suppress(OSError):  # a cache that may only be read
            os.utime(place / INDEX)  # of the last use, which pruning goes by
        return place

    @contextmanager
    def made(self, key: str) -> Iterator["Draft"]:
        """A folder to write an entry's files to; it takes its place only if the block succeeds."""
        partial = self.root / f"{PARTIAL}{uuid4().hex}"
        partial.mkdir(parents=True)
        draft = Draft(partial, self)
        try:
            yield draft
            files = sorted(path.relative_to(partial).as_posix() for path in partial.rglob("*") if path.is_file())
            write_json(partial / INDEX, {name: _checksum(partial / name) for name in files})
            place = draft.store.path(key)
            place.parent.mkdir(parents=True, exist_ok=True)
            if draft.store is self:
                with suppress(OSError):  # another process was first: the same key, the same bytes
                    os.rename(partial, place)
            else:
                shutil.rmtree(place, ignore_errors=True)
                shutil.move(partial, place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def prune(self, older_than: float | None = None, most: int | None = None) -> Pruned:
        """Remove entries that were not used for a while, then those used longest ago until the rest fits.

        Args:
            older_than: seconds since the last use, above which an entry goes; None: no age is too high.
            most: bytes that may stay; None: any number.
        """
        now = time.time()
        for left in (*self.root.glob(f"{PARTIAL}*"), *self.root.glob(f"{REMOVED}*")):
            with suppress(FileNotFoundError):
                if now - left.stat().st_mtime > ABANDONED:
                    shutil.rmtree(left, ignore_errors=True)
        entries = []
        for index in self.root.glob(f"[0-9a-f][0-9a-f]/*/{INDEX}"):
            with suppress(FileNotFoundError):
                size = sum(file.stat().st_size for file in index.parent.iterdir())
                entries.append((index.stat().st_mtime, size, index.parent))
        entries.sort(reverse=True)
        held = kept = freed = 0
        for used, size, place in entries:
            if (older_than is None or now - used <= older_than) and (most is None or held + size <= most):
                held, kept = held + size, kept + 1
            else:
                _remove(place)
                freed += size
        return Pruned(len(entries) - kept, freed, kept, held)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _remove(place: Path) -> None:
    """Take an entry away at once, then its files: who reads one meanwhile keeps what is open."""
    gone = place.parents[1] / f"{REMOVED}{uuid4().hex}"
    with suppress(FileNotFoundError):
        os.rename(place, gone)
    shutil.rmtree(gone, ignore_errors=True)
