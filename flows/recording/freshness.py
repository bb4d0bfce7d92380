"""Whether a stage is as it was: DVC's questions, and what stands for an output that is not on the disk.

In a sparse workspace that is the hash which dvc.lock has of it.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dvc.output import Output
from dvc.stage import PipelineStage
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.meta import Meta
from dvc_data.hashfile.tree import Tree

from flows.recording import dvc_internals as dvc
from flows.recording.cache import Objects

PARAMS = "params"
"""What DVC calls the hash of a dependency on parameters."""


class Freshness:
    """Of the stages of one project."""

    def __init__(self, outs: Sequence[Output], objects: Objects, sparse: bool) -> None:
        self._outs = outs
        """Every output of the project."""
        self._objects = objects
        self._sparse = sparse

    def changed(self, stage: PipelineStage, without: Sequence[str] = ()) -> bool:
        """Whether it is not as dvc.lock has it, whatever the dependencies at the paths `without` are."""
        if stage.changed_stage() or stage.is_callback or stage.always_changed:
            return True
        deps = [dep for dep in _deps(stage) if str(dep.def_path) not in without]
        return any(self._dep_status(dep) for dep in deps) or any(self._out_status(out) for out in stage.outs)

    def reasons(self, stage: PipelineStage) -> list[Any]:
        """What `dvc status` says of it; nothing if it is as it was."""
        deps = {name: what for dep in _deps(stage) for name, what in self._dep_status(dep).items()}
        outs = {name: what for out in stage.outs for name, what in self._out_status(out).items()}
        return dvc.reasons(stage, deps, outs)

    def save_deps(self, stage: PipelineStage) -> None:
        """Let every dependency of the stage have the hash that it has now.

        Raises:
            DependencyDoesNotExistError: one is not on the disk, and its hash is not known otherwise.
        """
        for dep in stage.deps:
            now = self._now(dep) if self._absent(dep) else None
            if now is None:
                dep.save()
            else:
                dep.hash_info, dep.meta = now

    def absent(self, stage: PipelineStage) -> list[Output]:
        """Outputs that the stage depends on and that are not on the disk."""
        return list({out.fs_path: out for dep in stage.deps for out in self._around(dep)}.values())

    def _dep_status(self, dep: Output) -> Mapping[str, str]:
        if not self._absent(dep):
            status: Mapping[str, str] = dep.status()
            return status
        now = self._now(dep)
        if now is None:
            return {str(dep): "deleted"}
        return {} if now[0] == dep.hash_info else {str(dep): "modified"}

    def _out_status(self, out: Output) -> Mapping[str, str]:
        if self._sparse and out.use_cache and out.hash_info and not out.exists:
            return {}
        status: Mapping[str, str] = out.status()
        return status

    def _absent(self, dep: Output) -> bool:
        return self._sparse and bool(self._around(dep))

    def _around(self, dep: Output) -> list[Output]:
        """Outputs at, in or around a dependency that are not on the disk."""
        if dep.hash_name == PARAMS:
            return []
        path = dep.fs_path
        return [
            out
            for out in self._outs
            if (out.fs_path == path or _is_in(out.fs_path, path) or _is_in(path, out.fs_path)) and not out.exists
        ]

    def _now(self, dep: Output) -> tuple[HashInfo, Meta] | None:
        """The hash that a dependency would have if all outputs were on the disk; None if that is unknown."""
        absent = self._around(dep)
        if not absent:
            found = dvc.built(dep) if dep.exists else None
            return found and (found[1].hash_info, found[0])
        if any(not (out.hash_info and out.use_cache) for out in absent):
            return None
        if absent[0].fs_path == dep.fs_path:
            return absent[0].hash_info, absent[0].meta
        if _is_in(dep.fs_path, absent[0].fs_path):
            return None  # the list of an output's files has no sizes, and dvc.lock wants one
        return self._whole(dep, absent)

    def _whole(self, dep: Output, absent: Sequence[Output]) -> tuple[HashInfo, Meta] | None:
        """A folder with outputs in it: theirs beside the files that are there."""
        whole, size, count = Tree(), 0, 0  # type: ignore[no-untyped-call]
        if dep.exists:
            there, obj = dvc.built(dep)
            if not isinstance(obj, Tree):
                return None
            for key, meta, info in obj:
                whole.add(key, meta, info)
            size, count = there.size or 0, there.nfiles or 0
        for out in absent:
            prefix = Path(out.fs_path).relative_to(dep.fs_path).parts
            if out.hash_info.isdir:
                tree = self._objects.tree(out)
                if tree is None:
                    return None
                for key, meta, info in tree:
                    whole.add((*prefix, *key), meta, info)
            else:
                whole.add(prefix, out.meta, out.hash_info)
            size, count = size + (out.meta.size or 0), count + (out.meta.nfiles or 1)
        whole.digest()
        return whole.hash_info, Meta(size=size, nfiles=count, isdir=True)


def _deps(stage: PipelineStage) -> list[Any]:
    return [] if stage.frozen else list(stage.deps)


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(folder + os.sep)
