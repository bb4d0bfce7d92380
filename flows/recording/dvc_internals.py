"""All that the flows touch of DVC beneath its public surface. docs/reference/upgrades.md: what to check on an upgrade.

It decides nothing: `recorder.py` holds the steps of an instance, `freshness.py` what is fresh, `cache.py` the objects.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil
from dvc.dependency.base import DependencyDoesNotExistError
from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc.lock import LockError
from dvc.output import Output
from dvc.repo import Repo, lock_repo
from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA
from dvc.stage import PipelineStage
from dvc.stage.cache import _get_cache_hash
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_single_stage_lockfile
from dvc.utils.serialize import dumps_yaml, load_path, parse_yaml
from dvc_data.hashfile.meta import Meta
from dvc_data.hashfile.obj import HashFile
from voluptuous import Invalid

from flows.recording import dvc_yaml
from tasks.core.errors import FlowError
from tasks.core.section import PARAMS_FILE, read_params

__all__ = ["DependencyDoesNotExistError"]
hold = lock_repo
"""`with hold(repo)`: DVC's lock of the workspace; raises LockError at once or after 3 s."""


def open_repo(workspace: Path) -> Repo:
    """The DVC project at `workspace`; to be closed.

    Raises:
        ParamsError: params.yaml is not what `read_params` reads: DVC would swell on it, or read it otherwise.
    """
    logging.getLogger("dvc").setLevel(logging.WARNING)
    dvc_yaml.quicken()
    repo = Repo(str(workspace))
    params = Path(repo.root_dir) / PARAMS_FILE
    if params.is_file():
        read_params(params)
    return repo


@contextmanager
def errors(subject: str) -> Iterator[None]:
    """Turn DVC's errors into ours; that of its lock is the caller's to handle."""
    try:
        yield
    except LockError:
        raise
    except DvcException as error:
        causes: Sequence[str] = [str(e) for e in (error, error.__cause__) if e and str(e)]
        raise FlowError(f"{subject}: {'; '.join(dict.fromkeys(causes))}") from error


def reread(repo: Repo) -> None:
    """Forget what was read of dvc.yaml, dvc.lock and params.yaml."""
    repo._reset()


def forget_git(repo: Repo) -> None:
    """Forget what git ignores: a .gitignore has just been written."""
    repo.scm._reset()


def all_stages(repo: Repo) -> list[Any]:
    """Every stage of the project, those of .dvc files too, filled from dvc.lock."""
    return list(repo.index.stages)


def needs(repo: Repo, stage: PipelineStage) -> set[str]:
    """Names of the stages whose outputs this one depends on."""
    return {str(node.name) for node in repo.index.graph.successors(stage) if isinstance(node, PipelineStage)}


def parse_params_once(stages: Iterable[PipelineStage]) -> None:
    """Let the stages share what a file of parameters holds while it is not changed: DVC parses it for each of them."""

    @cache
    def parsed(path: str, _modified: int, _size: int) -> Any:
        return load_path(path, localfs)

    def read(dep: ParamsDependency, flatten: bool = True) -> Any:
        if not dep.exists:
            return {}
        about = Path(dep.fs_path).stat()
        values = parsed(dep.fs_path, about.st_mtime_ns, about.st_size)
        found = {}
        for key in dep.params:
            with suppress(KeyError):
                found[key] = dvc_yaml.at(values, key)
        return found if dep.params else values

    for stage in stages:
        for dep in stage.params:
            dep.read_params = partial(read, dep)


# --- entries of dvc.lock ------------------------------------------------------------------------------------------


def entry(stage: PipelineStage) -> Mapping[str, Any]:
    """What dvc.lock is to hold of a stage: `{cmd, deps, params, outs}`."""
    found: Mapping[str, Any] = to_single_stage_lockfile(stage)
    return found


def as_text(values: Mapping[str, Any]) -> str:
    """YAML by DVC's own dumper: the bytes of dvc.lock must be its bytes."""
    return str(dumps_yaml(values))


def from_text(text: str, name: str) -> Any:
    """YAML by DVC's own parser, YAML 1.2: `1e-05` is a number."""
    with errors(name):
        return parse_yaml(text, name)


def fill(stage: PipelineStage, values: Mapping[str, Any]) -> None:
    """Let a stage be as an entry says that it was recorded.

    Raises:
        FlowError: the entry is not one.
    """
    try:
        StageLoader.fill_from_lock(stage, COMPILED_LOCK_FILE_STAGE_SCHEMA(dict(values)))
    except Invalid as error:
        raise FlowError(f"{stage.name}: not an entry of dvc.lock: {error}") from error
    stage.cmd_changed = values.get("cmd") != stage.cmd


def built(item: Output) -> tuple[Meta, HashFile]:
    """Size and hash of what lies on the disk for an output or a dependency; raises FileNotFoundError."""
    _, meta, obj = item._build(
        item.local_cache, item.fs_path, item.fs, item.hash_name, ignore=item.dvcignore, dry_run=True
    )
    return meta, obj


# --- the run cache ------------------------------------------------------------------------------------------------


def can_be_remembered(stage: PipelineStage) -> bool:
    """Whether the run cache may hold it, its dependencies being hashed."""
    return bool(
        stage.cmd
        and stage.deps
        and stage.outs
        and not (stage.is_callback or stage.always_changed)
        and all(dep.protocol == "local" and dep.def_path and dep.hash_info for dep in stage.deps)
        and all(out.protocol == "local" and out.is_in_repo and not out.persist for out in stage.outs)
    )


def remembered(repo: Repo, stage: PipelineStage) -> Mapping[str, Any] | None:
    """The newest entry of the run cache with the same command, dependencies and parameters."""
    cache = repo.stage_cache
    key = _get_cache_hash(to_single_stage_lockfile(stage), key=True)
    folder = Path(cache._get_cache_dir(key))
    values = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
    # Not ours alone: another walk may be writing there.
    values = [path for path in values if not path.name.endswith(".tmp")]
    found: Mapping[str, Any] | None = cache._load_cache(key, values[-1].name) if values else None
    return found


def as_recorded(repo: Repo, stage: PipelineStage, values: Mapping[str, Any]) -> PipelineStage:
    """A stage of its own with the outputs that an entry names: checking it out leaves `stage` as it is."""
    created: PipelineStage = repo.stage_cache._create_stage(values, wdir=stage.wdir)
    return created


def remember(repo: Repo, stage: PipelineStage) -> None:
    """Write a stage that has been saved into the run cache."""
    repo.stage_cache.save(stage)


def is_as_recorded(stage: PipelineStage) -> bool:
    """Whether DVC would take the outputs that dvc.lock names, before it asks the run cache."""
    return not stage.changed_stage() and stage.deps_cached() and all(out.hash_info for out in stage.outs)


# --- status, and who else works here ------------------------------------------------------------------------------


def reasons(stage: PipelineStage, deps: Mapping[str, str], outs: Mapping[str, str]) -> list[Any]:
    """What `dvc status` would list of a stage, in its order."""
    found: list[Any] = [{name: what} for name, what in (("changed deps", deps), ("changed outs", outs)) if what]
    if stage.is_callback or stage.always_changed:
        found.append("always changed")
    if stage.changed_stage():
        found.append("changed command")
    return found


def owner(workspace: Path) -> str:
    """Who holds DVC's lock: ` by process 1 (command)`, or nothing."""
    try:
        return _process(int((workspace / ".dvc" / "tmp" / "lock").read_text().split()[0]))
    except (OSError, ValueError, IndexError):
        return ""


def worker(repo: Repo) -> str:
    """Who else works here though the lock is free: `dvc repro` gives it back while its command runs.

    Its readers and writers stand in `.dvc/tmp/rwlock` meanwhile; those of dead processes stay there and count nothing.
    """
    try:
        table = json.loads((Path(repo.tmp_dir) / "rwlock").read_text())
        notes = [*table.get("write", {}).values(), *(one for many in table.get("read", {}).values() for one in many)]
        for note in notes:
            if note["pid"] != os.getpid() and _is_of(note["pid"], note["cmd"]):
                return _process(note["pid"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        pass
    return ""


def _is_of(pid: int, command: str) -> bool:
    """Whether the process lives and is the one noted, not a later one with its number."""
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return all(word in words for word in command.split()[1:])


def _process(pid: int) -> str:
    try:
        return f" by process {pid} ({' '.join(psutil.Process(pid).cmdline())})"
    except psutil.Error:
        return ""
