"""The steps of an instance, by which DVC would run it, in DVC's order, so that a walk and `dvc repro` agree.

Two differ. Hashing and caching run beside other instances: only what touches shared files (.gitignore, the run cache)
is done one at a time. And objects enter and leave the cache by `flows/recording/cache.py`.
"""

import threading
from collections.abc import Iterable
from typing import Any

from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import PipelineStage

from flows.recording import dvc_internals as dvc
from flows.recording.cache import Objects
from flows.recording.freshness import Freshness
from tasks.core.errors import FlowError


class Steps:
    """For the stages of one workspace. Several threads may use it at once."""

    def __init__(
        self, repo: Repo, fresh: Freshness, objects: Objects, one_at_a_time: threading.Lock, sparse: bool
    ) -> None:
        self._repo = repo
        self._fresh = fresh
        self._objects = objects
        self._one_at_a_time = one_at_a_time
        self._sparse = sparse
        self._before: dict[str, list[Any]] = {}

    def restore(self, stage: PipelineStage, force: bool) -> bool:
        """Remove the old outputs, then take them from the cache if these inputs have been run before."""
        with self._one_at_a_time:
            found = None if force else self._run_before(stage)
        # As DVC does: an output may be a link into the cache, and must not be written through.
        for out in stage.outs:
            out.remove()
            out.clear()
        if found is None or self._objects.have(found.outs, fetch=self._sparse, again=True):
            return False
        for out in found.outs:
            out.checkout(force=True)
        return True

    def prepare(self, stage: PipelineStage) -> None:
        """Note what a stage depends on, which must be on the disk, before its command runs."""
        stage.save_deps()
        self._before[str(stage.name)] = _hashes(stage)

    def save(self, stage: PipelineStage) -> None:
        """Hash the outputs and put them into the cache.

        Raises:
            FlowError: an input was changed while the command ran.
        """
        self._fresh.save_deps(stage)
        if self._before.pop(str(stage.name), None) not in (None, _hashes(stage)):
            raise FlowError(
                f"{stage.name}: a dependency was changed while the command ran, so the result is of neither "
                "version and is not recorded. Run the same command again."
            )
        with self._one_at_a_time:
            for out in stage.outs:
                if out.exists:  # what is missing is for saving to say
                    out.ignore()
            # Saving asks again whether the output is ignored; what git had read before would say no.
            dvc.forget_git(self._repo)
        stage.save_outs()
        remembered = all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs)
        for out in stage.outs:
            if out.use_cache or remembered:
                self._objects.put(out)
        # One whose dependencies are not on the disk was not run here: it was restored, and is remembered already.
        if remembered and not self._fresh.absent(stage):
            with self._one_at_a_time:
                dvc.remember(self._repo, stage)
        for out in stage.outs:
            out.commit()
        stage.cmd_changed = False

    def bring(self, address: str, outs: Iterable[Output]) -> None:
        """Bring outputs to the disk, from the cache or the remote; raises a FlowError that names what neither has."""
        wanted = list(outs)
        kept = [out for out in wanted if out.use_cache]
        lost = dict(self._objects.have(kept, fetch=True))
        lost |= {str(out): "is not kept in the cache: run its stage here" for out in wanted if not out.use_cache}
        if lost:
            lines = "\n".join(f"  {name} {why}" for name, why in lost.items())
            raise FlowError(
                f"{address} needs what cannot be brought here:\n{lines}\nPush it where it was made: dvc push"
            )
        for out in kept:
            out.checkout(force=True)

    def _run_before(self, stage: PipelineStage) -> PipelineStage | None:
        """The stage as it was recorded when these inputs were run before: what dvc.lock says, or the run cache."""
        if dvc.is_as_recorded(stage):
            return dvc.as_recorded(self._repo, stage, dvc.entry(stage))
        try:
            self._fresh.save_deps(stage)
        except dvc.DependencyDoesNotExistError:
            return None  # to be fetched, or for the command's turn to say
        values = dvc.remembered(self._repo, stage) if dvc.can_be_remembered(stage) else None
        return dvc.as_recorded(self._repo, stage, values) if values else None


def _hashes(stage: PipelineStage) -> list[Any]:
    return [dep.hash_info for dep in stage.deps]
