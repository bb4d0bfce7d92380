"""Objects of DVC's cache, which many workspaces of a host share: whole and right, or not there.

DVC trusts an object that is read-only, and writes a new one by opening its final name: two processes that save the same
bytes at once can truncate each other's. Here an object is written under another name, hashed and then renamed; and one
that is taken out is hashed from its bytes, whatever a database of hashes or its mode says.
"""

import errno
import hashlib
import logging
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvc.config import RemoteConfigError
from dvc.output import Output
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError
from dvc_objects.fs.utils import copyfile

from tasks.core.errors import FlowError
from tasks.core.redaction import redacted

logger = logging.getLogger(__name__)
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Of errors that are this host's, not the remote's."""
JOBS = 8
"""Objects that are fetched at a time."""
READ_ONLY = 0o444


class RemoteError(FlowError):
    """The remote refused, was full, or could not be reached: another try may go better."""


class Objects:
    """The cache and the remote of one project. Several threads may use it at once."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._cache: HashFileDB = repo.cache.local
        self._sound: set[str] = set()

    def put(self, out: Output) -> None:
        """Have an output that has been hashed in the cache, each object whole from the moment it has its name."""
        obj = out.obj
        link = out.use_cache and self._cache.cache_types[0] == "hardlink"
        if isinstance(obj, Tree):
            for key, _, info in obj:
                self._add(Path(out.fs_path, *key), str(info.value), link)
            self._write(str(obj.oid), obj.as_bytes())
        else:
            self._add(Path(out.fs_path), str(out.hash_info.value), link)

    def tree(self, out: Output) -> Tree | None:
        """The files of an output that is a folder, from the cache or the remote; None if neither has the list."""
        if self.missing([(str(out), out.hash_info)], fetch=True):
            return None
        return self._tree(out)

    def have(self, outs: Iterable[Output], fetch: bool, again: bool = False) -> Mapping[str, str]:
        """See that every object of these outputs is in the cache, and sound; what is not, with the reason.

        Args:
            outs: outputs with their hashes.
            fetch: whether to ask the remote for what the cache has not.
            again: whether to ask it for what was thrown out as damaged.
        """
        lost: dict[str, str] = {}
        for out in outs:
            if not out.hash_info:
                lost[str(out)] = "has no hash in dvc.lock"
                continue
            wanted = [(str(out), out.hash_info)]
            failed = self.missing(wanted, fetch, again)
            if not failed and out.hash_info.isdir:
                wanted = [(f"{out}/{'/'.join(key)}", info) for key, _, info in self._tree(out) if info]
                failed = self.missing(wanted, fetch, again)
            lost |= failed
        return lost

    def missing(self, wanted: Sequence[tuple[str, HashInfo]], fetch: bool, again: bool = False) -> Mapping[str, str]:
        """Those of `wanted` (name and hash) that are not in the cache now, and why."""
        absent: list[tuple[str, str]] = []
        thrown: list[tuple[str, str]] = []
        for name, info in wanted:
            oid = str(info.value)
            state = self._look(oid)
            if state == "damaged":
                logger.warning("%s: object %s in the cache is damaged; it was thrown out", name, oid)
                thrown.append((name, oid))
            elif state == "absent":
                absent.append((name, oid))
        asked = [*(absent if fetch else ()), *(thrown if fetch or again else ())]
        lost = {name: "is not in the cache" for name, _ in absent} | {name: "was damaged" for name, _ in thrown}
        if asked:
            lost |= self._fetch(asked)
        return {name: why for name, why in lost.items() if why}

    def _tree(self, out: Output) -> Tree:
        try:
            return Tree.load(self._cache, out.hash_info)
        except ObjectFormatError as error:
            raise FlowError(f"{out}: its list of files, object {out.hash_info.value}, is none") from error

    def _look(self, oid: str) -> str:
        """`sound`, `absent`, or `damaged`: then it is thrown out."""
        path = Path(self._cache.oid_to_path(oid))
        if oid in self._sound and path.exists():
            return "sound"
        try:
            found = _md5(path)
        except FileNotFoundError:
            return "absent"
        if found != oid.removesuffix(".dir"):
            path.unlink(missing_ok=True)
            return "damaged"
        self._sound.add(oid)
        return "sound"

    def _fetch(self, wanted: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Bring objects from the remote; by name, what became of each: nothing if it is in the cache now."""
        try:
            remote = self._repo.cloud.get_remote_odb()
        except RemoteConfigError:
            return {name: "is not in the cache, and no remote is configured" for name, _ in wanted}
        with ThreadPoolExecutor(JOBS) as pool:
            found = list(pool.map(lambda item: self._bring(remote, item[1]), wanted))
        return {name: why for (name, _), why in zip(wanted, found, strict=True)}

    def _bring(self, remote: HashFileDB, oid: str) -> str:
        for _ in range(2):  # a connection that breaks off leaves half an object
            partial = self._partial(oid)
            try:
                remote.fs.get_file(remote.oid_to_path(oid), str(partial))
                if _md5(partial) == oid.removesuffix(".dir"):
                    self._name(partial, oid)
                    self._sound.add(oid)
                    return ""
            except FileNotFoundError:
                return "is neither in the cache nor on the remote"
            except Exception as error:  # of any file system or store, each its own
                if isinstance(error, OSError) and error.errno in DISK:
                    raise
                cause = redacted(str(error)) or type(error).__name__
                raise RemoteError(f"fetching object {oid} from the remote: {cause}") from error
            finally:
                partial.unlink(missing_ok=True)
        return f"is damaged on the remote (object {oid})"

    def _add(self, source: Path, oid: str, link: bool) -> None:
        if self._cache.exists(oid):
            return
        partial = self._partial(oid)
        try:
            try:
                if link:
                    os.link(source, partial)
            except OSError:  # another file system, or one without hard links
                pass
            if not partial.exists():
                copyfile(str(source), str(partial))  # a reflink where the file system has them
            self._name(partial, oid)
        finally:
            partial.unlink(missing_ok=True)

    def _write(self, oid: str, content: bytes) -> None:
        if self._cache.exists(oid):
            return
        partial = self._partial(oid)
        try:
            partial.write_bytes(content)
            self._name(partial, oid)
        finally:
            partial.unlink(missing_ok=True)

    def _partial(self, oid: str) -> Path:
        final = Path(self._cache.oid_to_path(oid))
        self._cache.makedirs(str(final.parent))  # type: ignore[no-untyped-call]
        return final.with_name(f".{secrets.token_hex(8)}.tmp")

    def _name(self, partial: Path, oid: str) -> None:
        """Give an object its name; whoever came first stays."""
        partial.chmod(READ_ONLY)
        final = self._cache.oid_to_path(oid)
        try:
            with suppress(FileExistsError):
                os.link(partial, final)
        except OSError:  # a file system without hard links
            partial.replace(final)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _hasher).hexdigest()


def _hasher() -> Any:
    return hashlib.md5(usedforsecurity=False)
