"""The one writer of dvc.lock, and all that a walk asks of DVC: is it fresh, restore it, save it, record it.

The steps of an instance are DVC's own, in DVC's order, so that a walk and `dvc repro` agree. Two differ.
Hashing and caching run beside other instances: only what touches shared files (dvc.lock, .gitignore, the run
cache) is done one at a time. And dvc.lock is replaced whole, in dvc.yaml's order; DVC writes it in place. DVC
is used through its internals: its version pin and tests/contracts/test_walk_equals_repro.py watch over them.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import psutil
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.serialize import to_single_stage_lockfile
from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

from flows import graph
from tasks.core.errors import FlowError
from tasks.core.stage import atomic

SCHEMA = "schema: '2.0'\n"


@contextmanager
def open_workspace(workspace: Path) -> Iterator["Recorder"]:
    """Open the DVC project at `workspace` and hold its lock until the context ends.

    The process works in that folder meanwhile: DVC takes paths as relative to it.

    Raises:
        FlowError: there is no project, its files are not valid, or another run holds the lock.
    """
    logging.getLogger("dvc").setLevel(logging.WARNING)
    with _errors(str(workspace)):
        repo = Repo(str(workspace))
    try:
        with chdir(repo.root_dir), lock_repo(repo):
            with _errors("dvc.yaml"):
                recorder = Recorder(repo)
            yield recorder
    except LockError as error:
        raise FlowError(_held_by(workspace)) from error
    finally:
        repo.close()


class Recorder:
    """An open and locked workspace. Comes from `open_workspace`; several threads may use it at once."""

    def __init__(self, repo: Repo) -> None:
        self.root = Path(repo.root_dir)
        self.graph = graph.of_repo(repo)
        self._repo = repo
        self._stages = graph.stages(repo)
        self._before: dict[str, list[Any]] = {}
        self._one_at_a_time = threading.Lock()
        self._entries: dict[str, str] | None = None
        self._rest = ""

    def changed(self, address: str, without: Sequence[str] = ()) -> bool:
        """Whether `dvc repro` would not skip it: its command, a dependency or an output is not as was.

        Args:
            address: of the instance.
            without: paths of dependencies that are not looked at.
        """
        stage = self._stages[address]
        with _errors(address):
            if stage.changed_stage() or stage.is_callback or stage.always_changed:
                return True
            deps = [] if stage.frozen else [dep for dep in stage.deps if str(dep.def_path) not in without]
            return any(item.status() for item in (*deps, *stage.outs))

    def recorded(self, address: str, path: str) -> str | None:
        """MD5 of a dependency as dvc.lock has it of the last run; None if it has none of it."""
        found = next((dep for dep in self._stages[address].deps if str(dep.def_path) == path), None)
        return found.hash_info.value if found is not None and found.hash_info else None

    def restore(self, address: str, force: bool = False) -> bool:
        """Remove the old outputs, then take them from the cache if these inputs have been run before.

        Args:
            address: of the instance.
            force: do not look into the cache.
        """
        stage = self._stages[address]
        with _errors(address):
            # First, as DVC does: an output may be a link into the cache, and must not be written through.
            for out in stage.outs:
                out.remove()
            if not force:
                try:
                    with self._one_at_a_time:
                        self._repo.stage_cache.restore(stage)
                    return True
                except RunCacheNotFoundError:
                    pass
            stage.save_deps()
            self._before[address] = _hashes(stage)
            return False

    def save(self, address: str) -> None:
        """Hash the outputs and put them into the cache, then write the instance into dvc.lock.

        Raises:
            FlowError: an output is missing, or an input was changed while the command ran.
        """
        stage = self._stages[address]
        with _errors(address):
            stage.save_deps()
            if self._before.pop(address, None) not in (None, _hashes(stage)):
                raise FlowError(
                    f"{address}: a dependency was changed while the command ran, so the result is of neither "
                    "version and is not recorded. Run the same command again."
                )
            with self._one_at_a_time:
                for out in stage.outs:
                    if out.exists:  # what is missing is for saving to say
                        out.ignore()
                # Saving asks again whether the output is ignored; what git had read before would say no.
                self._repo.scm._reset()
            stage.save_outs()
            with self._one_at_a_time:
                if all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs):
                    self._repo.stage_cache.save(stage)
            for out in stage.outs:
                out.commit()
            stage.cmd_changed = False
            with self._one_at_a_time:
                self._record(address, to_single_stage_lockfile(stage))

    def status(self, plan: graph.Graph) -> Mapping[str, Any]:
        """What `dvc status` says of the plan's instances, read back from the disk. Empty if all is well.

        The last thing to be asked: what this object knew of the stages is void afterwards.
        """
        with _errors("dvc status"):
            self._repo._reset()
            targets = None if len(plan.instances) == len(self._stages) else [i.address for i in plan.instances]
            report: dict[str, Any] = self._repo.status(targets=targets, check_updates=False)
            return {name.rpartition(":")[2]: reasons for name, reasons in report.items() if reasons}

    def _record(self, address: str, entry: Mapping[str, Any]) -> None:
        """Replace dvc.lock by one that has `entry`: a kill leaves the old file or the new one, no half."""
        path = self.root / "dvc.lock"
        if self._entries is None:
            self._entries, self._rest = _read_lock(path)
        self._entries[address] = _text(address, entry)
        known = [a for a in self._stages if a in self._entries]
        # As DVC does, entries of instances that dvc.yaml no longer has are kept: it may have them again.
        gone = [a for a in self._entries if a not in self._stages]
        with atomic(path) as partial, partial.open("w", encoding="utf-8") as file:
            file.write(SCHEMA + "stages:\n" + "".join(self._entries[a] for a in known + gone) + self._rest)
            file.flush()
            os.fsync(file.fileno())


def _read_lock(path: Path) -> tuple[dict[str, str], str]:
    """Entries of dvc.lock as DVC would write them again, by address, and whatever else is in it."""
    if not path.is_file():
        return {}, ""
    values = parse_yaml_for_update(path.read_text(encoding="utf-8"), str(path))
    rest = {key: value for key, value in values.items() if key not in ("schema", "stages")}
    entries = {name: _text(name, entry) for name, entry in (values.get("stages") or {}).items()}
    return entries, dumps_yaml(rest) if rest else ""


def _text(address: str, entry: Mapping[str, Any]) -> str:
    """One entry, indented as it stands under `stages:`. DVC's own dumper: the bytes must be its bytes."""
    text: str = dumps_yaml({"stages": {address: entry}})
    return text.removeprefix("stages:\n")


def _hashes(stage: PipelineStage) -> list[Any]:
    return [dep.hash_info for dep in stage.deps]


def _held_by(workspace: Path) -> str:
    """The message for a workspace that is in use; the lock file holds the process id of its owner."""
    owner = ""
    try:
        process = psutil.Process(int((workspace / ".dvc" / "tmp" / "lock").read_text().split()[0]))
        owner = f" by process {process.pid} ({' '.join(process.cmdline())})"
    except (OSError, ValueError, IndexError, psutil.Error):
        pass
    return (
        f"the workspace {workspace} is in use{owner}: one run at a time. "
        "Wait for it to end, or run from another checkout."
    )


@contextmanager
def _errors(subject: str) -> Iterator[None]:
    """Turn DVC's errors into ours; the caller handles the lock's."""
    try:
        yield
    except LockError:
        raise
    except DvcException as error:
        causes: Sequence[str] = [str(e) for e in (error, error.__cause__) if e and str(e)]
        raise FlowError(f"{subject}: {'; '.join(dict.fromkeys(causes))}") from error
