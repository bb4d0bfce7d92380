"""Checkpoints that travel: copied to the DVC remote while a stage trains, and back before it goes on elsewhere.

Under `<root>/checkpoints/<key>/step-00000100/` lie the files of that checkpoint and, written last, `manifest.json` with
the size and hash of each: what has none is not whole. What comes back is believed only as far as its manifest goes, and
only safetensors and JSON come back. Whether it fits the inputs and the code at hand is the stage's to say, by the
fingerprint that travels along (`tasks.core.stage.fresh_work`).
"""

import hashlib
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from dvc.fs import FileSystem

from flows.gpu.manifest import MANIFEST, MAX_MANIFEST, PARTS, DamagedError, Manifest, copy_hashed
from tasks.core.stage import as_json, atomic, fingerprint

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
FOLDER = "checkpoints"  # on the remote, beside DVC's own `files`
MARKER = "fingerprint"
LAST_TRIES = 3
"""Of the upload once the command has ended; before, it is tried for as long as that runs."""
STEP = re.compile(r"step-\d{8,12}")


class Checkpoints:
    """Those of one stage instance, here and on the remote.

        checkpoints = Checkpoints(work, remote.fs, remote.path, key_of(commit, address, inputs), logger)
        checkpoints.restore()
        with checkpoints.watch():
            ...run the command...
        ...push its outputs...
        checkpoints.clear()

    Nothing here raises: without a checkpoint a stage begins again, which is slower and no less right.
    """

    def __init__(
        self, work: Path, fs: FileSystem, root: str, key: str, logger: Logger | None = None, poll: float = 1.0
    ) -> None:
        """Nothing is read yet.

        Args:
        work: the instance's folder under `.earthloom/work`; need not exist.
        fs: of the remote, as DVC opens it (`repo.cloud.get_remote().fs`).
        root: the remote's path in `fs` (`repo.cloud.get_remote().path`).
        key: see `key_of`.
        logger: for warnings.
        poll: seconds between two looks into the work folder.
        """
        self.work, self.fs, self.poll = work, fs, poll
        self.place = fs.join(root, FOLDER, key)
        self.logger: Logger = logger or logging.getLogger(__name__)
        self._sent: tuple[str, str] = ("", "")
        """(fingerprint, name) of the newest that is on the remote."""

    def restore(self) -> int | None:
        """Bring the newest whole checkpoint of the remote to the work folder, unless that has one as new.

        One that is incomplete or damaged is named in a warning, and the one before is taken.

        Returns:
            Its step; None if none was brought.
        """
        try:
            names = self._on_remote()
        except Exception as error:  # whatever client the remote has, with errors of its own
            self.logger.warning(
                "checkpoints on the remote cannot be listed (%s); training goes on without", _say(error)
            )
            return None
        for name in reversed(names):
            try:
                manifest = self._manifest(name)
                if manifest.fingerprint == self._marker() and any(p.name >= name for p in _whole(self.work)):
                    return None
                self._bring(name, manifest)
            except DamagedError as error:
                self.logger.warning("%s on the remote is passed over: %s", name, error)
            except Exception as error:
                self.logger.warning("%s cannot be fetched from the remote (%s)", name, _say(error))
            else:
                self._sent = (manifest.fingerprint, name)
                self.logger.info("%s fetched from the remote", name)
                return int(name.removeprefix("step-"))
        return None

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Send each new checkpoint to the remote while the block runs, and a last one when it ends, however it ends."""
        ended = threading.Event()
        thread = threading.Thread(target=self._follow, args=(ended,), name="checkpoints", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def clear(self) -> None:
        """Remove them from the remote: the outputs are there, nobody goes on from these."""
        try:
            for name in self._on_remote():
                self._remove(name)
        except Exception as error:
            self.logger.warning("checkpoints are left on the remote, under %s (%s)", self.place, _say(error))

    def _follow(self, ended: threading.Event) -> None:
        failures = 0
        while True:
            last = ended.wait(min(self.poll * 2**failures, 60.0))
            try:
                self._send_newest()
                failures = 0
            except Exception as error:  # the remote may be away for hours: training must not notice
                failures += 1
                self.logger.warning("a checkpoint could not be sent to the remote (%s)", _say(error))
                if last and failures < LAST_TRIES:
                    time.sleep(self.poll * 2**failures)
                    continue
            if last:
                return

    def _send_newest(self) -> None:
        marker, found = self._marker(), _whole(self.work)
        if not found or not marker or (marker, found[-1].name) == self._sent:
            return
        name = found[-1].name
        copy = self.work / "travelling"
        shutil.rmtree(copy, ignore_errors=True)
        try:
            copy.mkdir()
            for file in found[-1].iterdir():
                os.link(file, copy / file.name)  # the run may remove its own while these are on their way
        except FileNotFoundError:
            return  # it has: a newer one is coming
        if not all((copy / part).is_file() for part in PARTS):
            return
        self._send(name, marker, copy)
        shutil.rmtree(copy)
        before = [self._sent[1]] if self._sent[0] == marker else []
        self._sent = (marker, name)
        self.logger.info("%s is on the remote", name)
        for old in self._on_remote():
            # The one before stays, in case this one is damaged there; what was made of other inputs does not.
            if old not in (name, *before):
                self._remove(old)

    def _send(self, name: str, marker: str, copy: Path) -> None:
        target = self.fs.join(self.place, name)
        files = {}
        self.fs.makedirs(target, exist_ok=True)
        for file in sorted(copy.iterdir()):
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "blake2b").hexdigest()
            files[file.name] = {"size": file.stat().st_size, "blake2b": digest}
            self.fs.put_file(str(file), self.fs.join(target, file.name))
        manifest = self.work / f".{MANIFEST}"
        manifest.write_text(as_json({"fingerprint": marker, "files": files}))
        self.fs.put_file(str(manifest), self.fs.join(target, MANIFEST))
        manifest.unlink()

    def _on_remote(self) -> list[str]:
        """Names of the checkpoints, oldest first, whole or not."""
        self.fs.fs.invalidate_cache()
        try:
            entries = self.fs.ls(self.place, detail=False)
        except FileNotFoundError:
            return []
        names = {str(entry).rstrip("/").rpartition("/")[2] for entry in entries}
        return sorted((name for name in names if STEP.fullmatch(name)), key=lambda name: (len(name), name))

    def _remove(self, name: str) -> None:
        """The manifest first: what is half removed must not look whole."""
        folder = self.fs.join(self.place, name)
        manifest = self.fs.join(folder, MANIFEST)
        if self.fs.exists(manifest):
            self.fs.rm_file(manifest)
        self.fs.rm(folder, recursive=True)

    def _manifest(self, name: str) -> Manifest:
        path = self.fs.join(self.place, name, MANIFEST)
        if not self.fs.exists(path):
            raise DamagedError("it is not whole, its upload was cut off")
        with self.fs.open(path, "rb") as file:
            text = cast(bytes, file.read(MAX_MANIFEST + 1))
        if len(text) > MAX_MANIFEST:
            raise DamagedError(f"{MANIFEST} is larger than {MAX_MANIFEST} bytes")
        return Manifest.read(text)

    def _bring(self, name: str, manifest: Manifest) -> None:
        source = self.fs.join(self.place, name)
        for file, (size, _) in manifest.files.items():
            there = self.fs.size(self.fs.join(source, file)) if self.fs.exists(self.fs.join(source, file)) else None
            if there != size:
                raise DamagedError(f"{file} has {there} bytes, and {size} by its manifest")
        self.work.mkdir(parents=True, exist_ok=True)
        wanted, free = sum(size for size, _ in manifest.files.values()), shutil.disk_usage(self.work).free
        if wanted > free:
            raise DamagedError(f"it has {wanted / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free here")
        partial = self.work / f".{name}.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            for file, (size, digest) in manifest.files.items():
                with self.fs.open(self.fs.join(source, file), "rb") as content:
                    if copy_hashed(content.read, partial / file, size) != digest:
                        raise DamagedError(f"{file} does not hold what was written to it")
            if self._marker() != manifest.fingerprint:  # begun from other inputs, or not at all
                for old in self.work.glob("step-*"):
                    shutil.rmtree(old)
                with atomic(self.work / MARKER) as marker:
                    marker.write_text(manifest.fingerprint)
            os.replace(partial, self.work / name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _marker(self) -> str:
        path = self.work / MARKER
        return path.read_text() if path.is_file() else ""


def key_of(commit: str, address: str, inputs: Any) -> str:
    """Name of an instance's checkpoints on the remote.

    Args:
        commit: that the run is pinned to.
        address: of the instance.
        inputs: hashes of what it depends on, as dvc.lock would have them; anything that JSON can write.
    """
    return fingerprint([commit, address, inputs])


def _whole(work: Path) -> list[Path]:
    """The checkpoints of the work folder, oldest first; progress.json is in them from the start, by renaming."""
    found = [path for path in work.glob("step-*") if STEP.fullmatch(path.name) and (path / "progress.json").is_file()]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
