"""The DVC remote of a workspace: what of a version is there, bring what is not, and small objects beside it.

Asked object by object: what DVC remembers of a remote beside its cache is not believed, for objects vanish.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.config import ConfigError
from dvc.config import NoRemoteError as NoDvcRemoteError
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo

from flows.recording import foreign
from flows.recording.cache import RemoteError
from flows.recording.graph import Instance
from tasks.core.errors import FlowError
from tasks.core.redaction import redacted

FOLDER = "earthloom"
"""Beside DVC's own `files/` on the remote."""
LARGEST = 4_000_000
"""Bytes of an object beside the data that are read: a lock entry has some hundred."""


class GoneError(RemoteError):
    """An object is neither in the cache nor on the remote, which has answered so."""


class Remote:
    """An open remote, with the cache of the workspace."""

    def __init__(self, root: Path) -> None:
        """Open the remote that the settings of DVC at `root` name.

        Raises:
            FlowError: they name none, or one that cannot be used here.
        """
        try:
            self._repo = Repo(str(root))
            self._odb = self._repo.cloud.get_remote_odb()
            self._top = self._repo.cloud.get_remote().path
        except NoDvcRemoteError as error:
            raise FlowError(
                "there is no DVC remote, so nothing can leave this host: set EARTHLOOM_REMOTE to its URL, or name one "
                "in the repository (`dvc remote add --default NAME URL`)"
            ) from error
        except ConfigError as error:
            raise FlowError(f"the settings of the DVC remote: {redacted(str(error))}") from error
        self._cache = self._repo.cache.local

    @property
    def filesystem(self) -> Any:
        """DVC's file system of the remote."""
        return self._odb.fs

    def path(self, *names: str) -> str:
        """Place of an object beside the data, on `filesystem`."""
        joined: str = self._odb.fs.join(self._top, FOLDER, *names)
        return joined

    def close(self) -> None:
        """Let go of the files of DVC's databases."""
        self._repo.close()

    def objects(self, outs: Mapping[str, str]) -> dict[str, str]:
        """All objects of outputs, those of a folder's files too: hash -> path.

        Args:
            outs: hash by path, as dvc.lock has them; that of a folder ends with `.dir`.

        Raises:
            GoneError: the list of a folder's files is neither in the cache nor on the remote.
        """
        found: dict[str, str] = {}
        for path, md5 in outs.items():
            found[md5] = path
            if md5.endswith(".dir"):
                for entry in json.loads(self.read_object(md5, path)):
                    found[str(entry["md5"])] = f"{path}/{entry['relpath']}"
        return found

    def read_object(self, md5: str, path: str) -> bytes:
        """Bytes of an object, from the cache or else the remote.

        Raises:
            GoneError: neither has it.
        """
        for odb in (self._cache, self._odb):
            with _errors(f"reading {path}"):
                if odb.exists(md5):
                    content: bytes = odb.fs.cat_file(odb.oid_to_path(md5))
                    return content
        raise GoneError(f"{path} is neither in the cache nor on the remote (object {md5})")

    def absent(self, objects: Mapping[str, str]) -> list[str]:
        """Paths of those objects that are not on the remote."""
        with _errors("asking the remote"):
            there = self._there(objects)
        return sorted(path for md5, path in objects.items() if md5 not in there)

    def push(self, objects: Mapping[str, str]) -> list[str]:
        """Bring objects to the remote that are not there; paths of what is in neither place.

        Raises:
            RemoteError: the remote did not take one.
        """
        with _errors("pushing"):
            there = self._there(objects)
            wanted = [md5 for md5 in objects if md5 not in there]
            here = [md5 for md5 in wanted if self._cache.exists(md5)]
            # Lists of folders last: whoever finds one may rely on the files that it lists.
            for some in ([m for m in here if not m.endswith(".dir")], [m for m in here if m.endswith(".dir")]):
                result = self._repo.cloud.transfer(
                    self._cache, self._odb, [HashInfo("md5", md5) for md5 in some], cache_odb=self._cache
                )
                if result.failed:
                    names = ", ".join(sorted(objects[info.value] for info in result.failed)[:3])
                    raise RemoteError(f"the remote did not take {len(result.failed)} objects, {names} among them")
        return self.absent(objects)

    def read(self, *names: str) -> bytes | None:
        """An object beside the data; None if it is not there.

        Raises:
            RemoteError: it is larger than `LARGEST`.
        """
        path, fs = self.path(*names), self._odb.fs
        with _errors(f"reading {'/'.join(names)}"):
            self._forget_listings()
            if not fs.exists(path):
                return None
            if fs.info(path)["size"] > LARGEST:
                raise RemoteError(f"{'/'.join(names)} on the remote is larger than {LARGEST} bytes; it is not ours")
            content: bytes = fs.cat_file(path)
            return content

    def _there(self, objects: Iterable[str]) -> set[str]:
        self._forget_listings()
        return set(self._odb.oids_exist(sorted(objects)))

    def _forget_listings(self) -> None:
        """Others write there too: s3fs keeps what a folder held when it was first looked into."""
        self._odb.fs.fs.invalidate_cache()

    def write(self, content: bytes, *names: str) -> None:
        """Write an object beside the data; whole or not at all."""
        path, fs = self.path(*names), self._odb.fs
        with _errors(f"writing {'/'.join(names)}"):
            fs.makedirs(fs.parent(path), exist_ok=True)
            partial = f"{path}.partial"
            fs.pipe_file(partial, content)
            fs.move(partial, path)


@contextmanager
def opened(root: Path) -> Iterator[Remote]:
    """The remote of a workspace, closed at the end.

    Raises:
        FlowError: there is none.
    """
    remote = Remote(root)
    try:
        yield remote
    finally:
        remote.close()


def outs_of(entry: Mapping[str, Any], cached: Iterable[str]) -> dict[str, str]:
    """Hash by path of those outputs of a lock entry that DVC keeps in its cache."""
    kept = set(cached)
    return {str(out["path"]): str(out["md5"]) for out in entry.get("outs", []) if out["path"] in kept}


def outs_by_hash(instance: Instance, entry: str) -> dict[str, str]:
    """`outs_of` an instance's lock entry as YAML."""
    return outs_of(foreign.parse(instance.address, entry), instance.cached)


@contextmanager
def _errors(doing: str) -> Iterator[None]:
    """Turn what file systems and stores raise, each its own, into one error that may be tried again."""
    try:
        yield
    except FlowError:
        raise
    except Exception as error:
        cause = redacted(str(error)) or type(error).__name__
        raise RemoteError(f"{doing}: {cause}") from error
