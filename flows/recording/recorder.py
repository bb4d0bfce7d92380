"""The one writer of dvc.lock, and all that a walk asks of DVC: is it fresh, restore it, save it, record it.

`steps.py` has the steps, in DVC's order; `freshness.py` what is fresh. The lock is replaced whole, in the order of
dvc.yaml. tests/contracts/test_walk_equals_repro.py watches over all of it.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dvc.lock import LockError
from dvc.repo import Repo

from flows.recording import dvc_internals as dvc
from flows.recording import graph, lockfile
from flows.recording.cache import Objects
from flows.recording.foreign import differences, parse
from flows.recording.freshness import Freshness
from flows.recording.steps import Steps
from tasks.core.errors import FlowError


@contextmanager
def open_workspace(workspace: Path, sparse: bool = False) -> Iterator["Recorder"]:
    """Open the DVC project at `workspace` and hold its lock until the context ends.

    The process works in that folder meanwhile: DVC takes paths as relative to it.

    Args:
        workspace: root of the project.
        sparse: an output may be absent from the disk if dvc.lock has its hash.

    Raises:
        FlowError: there is no project, its files are not valid, or another run or `dvc repro` works in it.
    """
    with _opened(workspace) as repo:
        try:
            with chdir(repo.root_dir), dvc.hold(repo):
                busy = dvc.worker(repo)
                if busy:
                    raise FlowError(_in_use(workspace, busy))
                with dvc.errors("dvc.yaml"):
                    recorder = Recorder(repo, sparse)
                yield recorder
        except LockError as error:
            raise FlowError(_in_use(workspace, dvc.owner(workspace))) from error


@contextmanager
def look_into(workspace: Path, sparse: bool = False) -> Iterator["Recorder"]:
    """Open the project to ask about it only: no lock is taken, none is waited for, and nothing may be recorded.

    Raises:
        FlowError: there is no project, or its files are not valid.
    """
    with _opened(workspace) as repo, chdir(repo.root_dir):
        with dvc.errors("dvc.yaml"):
            recorder = Recorder(repo, sparse)
        yield recorder


class Recorder:
    """An open workspace. Comes from `open_workspace`; several threads may use it at once."""

    def __init__(self, repo: Repo, sparse: bool = False) -> None:
        self.root = Path(repo.root_dir)
        self.graph = graph.of_repo(repo)
        self.sparse = sparse
        self._repo = repo
        self._stages = graph.stages(repo)
        dvc.parse_params_once(self._stages.values())
        objects = Objects(repo)
        outs = [out for stage in dvc.all_stages(repo) for out in stage.outs]
        self._fresh = Freshness(outs, objects, sparse)
        self._one_at_a_time = threading.Lock()
        self._steps = Steps(repo, self._fresh, objects, self._one_at_a_time, sparse)
        self._fetching = threading.Lock()

    def changed(self, address: str, without: Sequence[str] = ()) -> bool:
        """Whether `dvc repro` would not skip it: its command, a dependency or an output is not as was.

        In a sparse workspace an absent output is as was if dvc.lock has its hash, and an absent dependency if it has
        the hash that the instance was run with.

        Args:
            address: of the instance.
            without: paths of dependencies that are not looked at.
        """
        with dvc.errors(address):
            return self._fresh.changed(self._stages[address], without)

    def reasons(self, plan: graph.Graph) -> Mapping[str, list[Any]]:
        """What `dvc status` says of the plan's instances, without those that are as they were."""
        found = {}
        for instance in plan.instances:
            with dvc.errors(instance.address):
                found[instance.address] = self._fresh.reasons(self._stages[instance.address])
        return {address: reasons for address, reasons in found.items() if reasons}

    def unclean(self, plan: graph.Graph) -> Mapping[str, list[Any]]:
        """`reasons`, with dvc.yaml, dvc.lock and params.yaml read back from the disk. Empty if all is well."""
        with dvc.errors("dvc.yaml"):
            dvc.reread(self._repo)
            return Recorder(self._repo, self.sparse).reasons(plan)

    def recorded(self, address: str, path: str) -> str | None:
        """MD5 of a dependency as dvc.lock has it of the last run; None if it has none of it."""
        found = next((dep for dep in self._stages[address].deps if str(dep.def_path) == path), None)
        return found.hash_info.value if found is not None and found.hash_info else None

    def entry(self, address: str) -> str:
        """What dvc.lock has of an instance, as YAML: `cmd`, `deps`, `params`, `outs`.

        Raises:
            FlowError: it has nothing.
        """
        with self._one_at_a_time:
            if address not in self._lock.entries:
                raise FlowError(f"{address} has no entry in dvc.lock; it has not been run")
            return dvc.as_text(dvc.from_text(self._lock.entries[address], "dvc.lock")[address])

    def recorded_addresses(self) -> list[str]:
        """Instances of dvc.yaml that dvc.lock has an entry of, in dvc.yaml's order."""
        with self._one_at_a_time:
            return [address for address in self._stages if address in self._lock.entries]

    def asked(self, address: str) -> Mapping[str, Any]:
        """What an instance would be run from now: `cmd`, `deps` with their hashes, and `params`.

        Raises:
            FlowError: a dependency is not there, and its hash is not known.
        """
        stage = self._stages[address]
        with dvc.errors(address):
            self._fresh.save_deps(stage)
            values = dvc.from_text(dvc.as_text(dvc.entry(stage)), address)
        return {key: value for key, value in values.items() if key != "outs"}

    def fetch(self, address: str) -> None:
        """Bring what an instance depends on to the disk where it is not there: from the cache, then from the remote.

        Raises:
            FlowError: names each file that neither has, or has only damaged.
        """
        with self._fetching, dvc.errors(address):
            self._steps.bring(address, self._fresh.absent(self._stages[address]))

    def restore(self, address: str, force: bool = False) -> bool:
        """Remove the old outputs, then take them from the cache if these inputs have been run before.

        Args:
            address: of the instance.
            force: do not look into the cache.
        """
        with dvc.errors(address):
            return self._steps.restore(self._stages[address], force)

    def prepare(self, address: str) -> None:
        """Note what an instance depends on, which must be on the disk, before its command runs."""
        with dvc.errors(address):
            self._steps.prepare(self._stages[address])

    def save(self, address: str) -> None:
        """Hash the outputs and put them into the cache, then write the instance into dvc.lock.

        Raises:
            FlowError: an output is missing, or an input was changed while the command ran.
        """
        with dvc.errors(address):
            self._steps.save(self._stages[address])
            self._record(address)

    def accept(self, address: str, entry_text: str) -> None:
        """Record an entry that another host made, if it is of what this workspace would run.

        Its outputs are not looked for; outside a sparse workspace they are brought to the disk.

        Raises:
            FlowError: the command, a dependency, a parameter or the outputs' paths are not those asked for; says which.
        """
        stage = self._stages[address]
        theirs = parse(address, entry_text)
        was = [(dep.hash_info, dep.meta) for dep in stage.deps]
        with dvc.errors(address):
            try:
                self._fresh.save_deps(stage)
                mine = dvc.from_text(dvc.as_text(dvc.entry(stage)), address)
                mine["outs"] = [{"path": str(out.def_path)} for out in stage.outs]
                wrong = differences(mine, theirs)
                if wrong:
                    raise FlowError(f"{address}: the entry is not of what was asked for: {'; '.join(wrong)}")
            except BaseException:
                for dep, (info, meta) in zip(stage.deps, was, strict=True):
                    dep.hash_info, dep.meta = info, meta
                raise
            for out in stage.outs:
                out.remove()
            dvc.fill(stage, theirs)
            if not self.sparse:
                self._steps.bring(address, stage.outs)
            self._record(address)

    def drop(self, addresses: Iterable[str]) -> list[str]:
        """Take entries out of dvc.lock, also of instances that dvc.yaml no longer has; those that were there."""
        with self._one_at_a_time:
            gone = [address for address in addresses if self._lock.entries.pop(address, None)]
            for address in set(gone) & self._stages.keys():
                stage = self._stages[address]
                stage.cmd_changed = True
                for out in stage.outs:
                    out.clear()
            if gone:
                self._lock.write(self._stages)
        return gone

    @cached_property
    def _lock(self) -> lockfile.Lock:
        return lockfile.Lock(self.root / "dvc.lock")

    def _record(self, address: str) -> None:
        text = lockfile.text(address, dvc.entry(self._stages[address]))
        with self._one_at_a_time:
            self._lock.entries[address] = text
            self._lock.write(self._stages)


@contextmanager
def _opened(workspace: Path) -> Iterator[Repo]:
    with dvc.errors(str(workspace)):
        repo = dvc.open_repo(workspace)
    try:
        yield repo
    finally:
        repo.close()


def _in_use(workspace: Path, by: str) -> str:
    return (
        f"the workspace {workspace} is in use{by}: one run at a time. Wait for it to end, or run from another checkout."
    )
