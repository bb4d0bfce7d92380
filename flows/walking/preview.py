"""What a walk would do, said without doing it.

Only one thing is foretold: the small files with the hashes of each stage's code. They are computed in memory and
compared with those that dvc.lock has, so that an edit names at once the instances that will run, and a comment none.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property

from flows.recording.graph import Graph, Instance, InstanceOutcome
from flows.recording.recorder import Recorder
from tasks import code
from tasks.core import paths
from tasks.core.stage import as_json


class CodeAhead:
    """What stage `code` would write if it ran now; nothing where it would not run."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        known = code.FIRST in recorder.graph.by_address
        self.runs = known and recorder.changed(code.FIRST)

    @cached_property
    def files(self) -> Mapping[str, str]:
        """Text of each file by its path."""
        if not self.runs:
            return {}
        found = code.reached(self._recorder.root)
        return {paths.code(stage).as_posix(): as_json(reached.as_json()) for stage, reached in found.items()}

    def changes(self, instance: Instance) -> list[str]:
        """What of an instance's code is not as it was when it last ran; empty if all is."""
        path = next((dep for dep in instance.deps if dep in self.files), None)
        if path is None:
            return []
        text = self.files[path]
        # DVC's own hash of a file.
        if hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() == self._recorder.recorded(
            instance.address, path
        ):
            return []
        before = self._recorder.root / path
        return _differences(json.loads(before.read_text()) if before.is_file() else {}, json.loads(text)) or ["code"]


def _differences(old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Names of modules, data files and packages that are in one only, or differ."""
    found = []
    for kind in ("modules", "data", "packages"):
        before, after = old.get(kind, {}), new.get(kind, {})
        found += [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return found


def preview(recorder: Recorder, plan: Graph, forced: frozenset[str] = frozenset()) -> list[InstanceOutcome]:
    """What a walk would do. After an instance that changes, others may turn out to be fresh: `may run`."""
    ahead = CodeAhead(recorder)
    outcomes: dict[str, InstanceOutcome] = {}
    for instance in ordered(plan):
        reason = ", ".join(ahead.changes(instance))
        if instance.address in forced or reason or recorder.changed(instance.address, without=list(ahead.files)):
            state = "to run"
        else:
            unsure = [name for name in instance.upstream if name != code.FIRST]
            moved = any(outcomes[upstream].state != "cached" for upstream in unsure)
            state = "may run" if moved else "cached"
        outcomes[instance.address] = InstanceOutcome(instance.address, state, 0.0, reason)
    return [outcomes[instance.address] for instance in plan.instances]


def ordered(plan: Graph) -> list[Instance]:
    """Instances with every one after those it depends on, else in dvc.yaml's order."""
    done: dict[str, Instance] = {}
    while len(done) < len(plan.instances):
        instance = next(i for i in plan.instances if i.address not in done and set(i.upstream) <= done.keys())
        done[instance.address] = instance
    return list(done.values())
