"""dvc.yaml as immutable values: what the stage instances are, what each needs, and where it should run."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from dvc.stage import PipelineStage

from flows.recording import dvc_internals as dvc
from tasks.core.errors import FlowError
from tasks.core.section import PARAMS_FILE, read_params

GPU = "gpu"
TEMPLATE = "template"
"""The value of `qa.generator` with which no model is needed."""
GPU_STAGES = frozenset({"train", "moe", "evaluate", "frozen", "forgetting", "routing"})
"""Stages that want a GPU; `qa` too where a model writes its pairs. All others run on `cpu`."""

ADDRESS = re.compile(r"[\w-]+(@[\w.-]+)?", re.ASCII)
"""What an address may be: it stands in commands, in names of files and in a shell's environment."""

STAC_STAGES = frozenset({"scenes", "scan", "labels", "chips"})
"""Stages that read from the catalog: tagged `stac:<catalog>`, so that a limit can be set, and tried again."""


@dataclass(frozen=True)
class Instance:
    """One stage instance: the unit that is run, retried, cached and recorded."""

    address: str
    """DVC's name: `chips@landsat-a`."""
    cmd: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    cached: tuple[str, ...]
    """Those of `outs` that DVC keeps in its cache, and on its remote."""
    upstream: tuple[str, ...]
    """Addresses of the instances whose outputs this one depends on, in dvc.yaml's order."""
    pool: str
    tags: tuple[str, ...]

    @property
    def stage(self) -> str:
        """Name of the stage in dvc.yaml: `chips`."""
        return stage_of(self.address)

    def __str__(self) -> str:
        """`chips@landsat-a [cpu, stac:sample]  <- scenes@landsat`."""
        after = f"  <- {', '.join(self.upstream)}" if self.upstream else ""
        return f"{self.address} [{', '.join(self.tags)}]{after}"


@dataclass(frozen=True)
class Graph:
    """Instances in the order in which dvc.yaml names them."""

    instances: tuple[Instance, ...]

    @cached_property
    def by_address(self) -> Mapping[str, Instance]:
        """Instances by address."""
        return {instance.address: instance for instance in self.instances}

    def plan(self, targets: Sequence[str] = ()) -> "Graph":
        """The instances that `targets` need, themselves included; all of them when there are no targets.

        Args:
            targets: stages (`chips`) or addresses (`chips@landsat-a`).

        Raises:
            FlowError: a target is neither.
        """
        if not targets:
            return self
        wanted: set[str] = set()
        pending = [address for target in targets for address in self.match(target)]
        while pending:
            address = pending.pop()
            if address not in wanted:
                wanted.add(address)
                pending.extend(self.by_address[address].upstream)
        return Graph(tuple(i for i in self.instances if i.address in wanted))

    def only(self, addresses: Sequence[str]) -> "Graph":
        """These instances alone; what else they depend on is there already.

        Raises:
            FlowError: dvc.yaml has none of that address.
        """
        wanted = {address for name in addresses for address in self.match(name)}
        return Graph(
            tuple(
                replace(instance, upstream=tuple(name for name in instance.upstream if name in wanted))
                for instance in self.instances
                if instance.address in wanted
            )
        )

    def downstream(self, address: str) -> tuple[str, ...]:
        """Everything that depends on `address`, directly or not, in dvc.yaml's order."""
        reached = {address}
        grown = True
        while grown:
            more = {i.address for i in self.instances if reached.intersection(i.upstream)} - reached
            grown = bool(more)
            reached |= more
        return tuple(i.address for i in self.instances if i.address in reached - {address})

    def match(self, target: str) -> list[str]:
        """Addresses that a target names, without those they depend on.

        Raises:
            FlowError: it names none.
        """
        found = [i.address for i in self.instances if target in (i.address, i.stage)]
        if not found:
            names = sorted({i.stage for i in self.instances} | set(self.by_address))
            close = difflib.get_close_matches(target, names, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            stages = ", ".join(dict.fromkeys(i.stage for i in self.instances))
            raise FlowError(f"'{target}' is neither a stage nor an instance in dvc.yaml; {hint}stages: {stages}")
        return found

    def __str__(self) -> str:
        """A line an instance."""
        return "\n".join(str(instance) for instance in self.instances)


@dataclass(frozen=True)
class InstanceOutcome:
    """`state` is ran, restored, cached, failed or skipped; in a dry run: to run, may run or cached."""

    address: str
    state: str
    seconds: float
    reason: str = ""


def stage_of(address: str) -> str:
    """`chips@landsat-a` -> `chips`."""
    return address.partition("@")[0]


def read(workspace: Path) -> Graph:
    """The graph of the DVC project at `workspace`.

    Raises:
        FlowError: there is no project, or dvc.yaml or params.yaml is not valid.
    """
    with dvc.errors(str(workspace)), dvc.open_repo(workspace) as repo:
        return of_repo(repo)


def stages(repo: Repo) -> dict[str, PipelineStage]:
    """DVC's own objects of the stages in the root's dvc.yaml, by address. For the recorder only."""
    root = Path(repo.root_dir) / "dvc.yaml"
    found = [stage for stage in dvc.all_stages(repo) if isinstance(stage, PipelineStage)]
    strange = sorted(stage.relpath for stage in found if Path(stage.path) != root)
    if strange:
        raise FlowError(f"stages are read from the root's dvc.yaml alone, but there is also {strange[0]}")
    # A matrix puts values of params.yaml into commands, and into the address first.
    unsafe = sorted(str(stage.name) for stage in found if not ADDRESS.fullmatch(str(stage.name)))
    if unsafe:
        raise FlowError(
            f"params.yaml makes an instance named {unsafe[0]!r}, and its command with it: values of a matrix must be "
            "letters, digits, '_', '-' and '.'"
        )
    return {str(stage.name): stage for stage in found}


def of_repo(repo: Repo) -> Graph:
    """The graph of an open project."""
    nodes = stages(repo)
    path = Path(repo.root_dir) / PARAMS_FILE
    # What params.yaml lacks is for its validation to say, not for a tag.
    params = read_params(path) if path.is_file() else {}
    instances = []
    for address, stage in nodes.items():
        needed = dvc.needs(repo, stage)
        instances.append(_instance(address, stage, tuple(a for a in nodes if a in needed), params))
    return Graph(tuple(instances))


def _instance(address: str, stage: PipelineStage, upstream: tuple[str, ...], params: Mapping[str, Any]) -> Instance:
    pool = _pool(stage_of(address), params)
    stac = (f"stac:{params.get('catalog', 'none')}",) if stage_of(address) in STAC_STAGES else ()
    return Instance(
        address=address,
        cmd=stage.cmd if isinstance(stage.cmd, str) else "\n".join(stage.cmd),
        deps=tuple(str(dep.def_path) for dep in stage.deps),
        outs=tuple(str(out.def_path) for out in stage.outs),
        cached=tuple(str(out.def_path) for out in stage.outs if out.use_cache),
        upstream=upstream,
        pool=pool,
        tags=(pool, *stac),
    )


def _pool(stage: str, params: Mapping[str, Any]) -> str:
    qa = params.get("qa")
    written_by_model = isinstance(qa, Mapping) and qa.get("generator", TEMPLATE) != TEMPLATE
    return GPU if stage in GPU_STAGES or (stage == "qa" and written_by_model) else "cpu"
