"""What a promotion compares: models by their lock entries, the gate set's files by hash, answers of the one in service.

The gate set is the held-out questions of the candidate's dataset. Only what they need is fetched: their table and the
shards that it names. All lies in a scratch folder of the workspace, laid out as in a checkout; nothing is written among
its outputs.
"""

import logging
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import yaml
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from flows.recording import dvc_internals as dvc
from flows.recording.cache import Objects, RemoteError
from flows.recording.graph import Instance
from flows.versions.git import git
from flows.versions.registry import Version
from flows.walking.processes import CommandError, Commands
from tasks.core import paths, tables
from tasks.core.errors import FlowError
from tasks.core.redaction import redacted
from tasks.core.section import load
from tasks.core.stage import address
from tasks.evaluation.datasets.registry import HELD_OUT
from tasks.evaluation.evaluate_params import EvaluateParams
from tasks.evaluation.names import MODELS, RELEASED

MODEL = MODELS[RELEASED].checkpoint.as_posix()
MIXTURE = paths.mixture("3").as_posix()
MIXTURES = tuple(paths.mixture(stage).as_posix() for stage in ("1", "2", "3"))
PREDICTIONS = (paths.evaluate(RELEASED) / "predictions.parquet").as_posix()
SCORES = (paths.evaluate(RELEASED) / "scores.json").as_posix()
SPLIT = paths.split().as_posix()
EVALUATE = address("evaluate", RELEASED)
"""Whose lock entry says what was asked of the model."""
Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass(frozen=True)
class LockedModel:
    """A version and what dvc.lock says of it at its commit."""

    version: Version
    stages: Mapping[str, Mapping[str, Any]]
    """Lock entries by address."""

    @classmethod
    def read(cls, root: Path, version: Version) -> "LockedModel":
        """From a clone that has the version's commit.

        Raises:
            FlowError: dvc.lock is missing there, or is none.
        """
        try:
            text = git(root, "show", f"{version.commit}:dvc.lock")
            stages = yaml.load(text, Loader=yaml.CSafeLoader)["stages"]
        except (FlowError, yaml.YAMLError, KeyError, TypeError) as error:
            raise FlowError(f"{version.tag}: its commit has no dvc.lock that can be read") from error
        return cls(version, stages)

    @cached_property
    def outs(self) -> Mapping[str, str]:
        """Hash of every output by its path."""
        return {out["path"]: out["md5"] for entry in self.stages.values() for out in entry.get("outs", ())}

    def out(self, path: str) -> str:
        """Hash of an output.

        Raises:
            FlowError: dvc.lock does not have it.
        """
        if path not in self.outs:
            raise FlowError(f"{self.version.tag} cannot be judged: its dvc.lock has no {path}; train and evaluate it")
        return self.outs[path]

    def evaluated(self) -> Mapping[str, str]:
        """What the evaluation depended on, hash by path.

        Raises:
            FlowError: it is missing, or is that of another model or of other questions.
        """
        self.out(PREDICTIONS)
        asked = {dep["path"]: dep["md5"] for dep in self.stages[EVALUATE].get("deps", ())}
        for path in (MODEL, MIXTURE):
            if asked.get(path) != self.out(path):
                raise FlowError(
                    f"{self.version.tag} cannot be judged: its predictions are not of its own {path}; evaluate it anew"
                )
        return asked

    def asked_alike(self, other: "LockedModel") -> bool:
        """Whether both answered the same questions by the same code and numbers: then their answers compare as is."""
        if EVALUATE not in self.stages or EVALUATE not in other.stages:
            return False
        one, two = ({**model.evaluated(), MODEL: ""} for model in (self, other))
        return one == two and self.stages[EVALUATE].get("params") == other.stages[EVALUATE].get("params")


class GateSet:
    """Files of versions, brought into a scratch folder by hash: from the host's cache, else from the remote."""

    def __init__(self, root: Path, scratch: Path) -> None:
        """Of a workspace; to be closed."""
        self.root, self.scratch = root, scratch
        self._repo = dvc.open_repo(root)
        self._objects = Objects(self._repo)

    def close(self) -> None:
        """Let go of the files of DVC's databases."""
        self._repo.close()

    def bring(self, model: LockedModel, path: str, folder: str, only: Callable[[str], bool] = lambda _: True) -> Path:
        """An output of a version, in a folder of the scratch folder.

        Args:
            model: the version.
            path: of the output, or of a file in one.
            folder: name of the folder under the scratch folder.
            only: which files of a folder are wanted, by their path from the root of the project.

        Raises:
            FlowError: names each file that is neither in the cache nor on the remote, or only damaged.
        """
        out = next((out for out in model.outs if path == out or path.startswith(f"{out}/")), path)
        files = self._files(model, out, lambda name: only(name) and (name == path or name.startswith(f"{path}/")))
        if not files:
            raise FlowError(f"{model.version.tag}: there is no {path} in its {out}")
        self._have(model, files)
        for name, md5 in files.items():
            to = self.scratch / folder / name
            if to.exists():
                continue
            to.parent.mkdir(parents=True, exist_ok=True)
            source = self._repo.cache.local.oid_to_path(md5)
            try:
                os.link(source, to)  # read-only, as in the cache
            except OSError:  # another file system
                shutil.copyfile(source, to)
        return self.scratch / folder / path

    def _files(self, model: LockedModel, out: str, only: Callable[[str], bool]) -> dict[str, str]:
        md5 = model.out(out)
        if not md5.endswith(".dir"):
            return {out: md5}
        self._have(model, {out: md5})
        tree = Tree.load(self._repo.cache.local, HashInfo("md5", md5))
        found = {"/".join((out, *key)): str(info.value) for key, _, info in tree if info}
        if any(part in ("", ".", "..") for name in found for part in name.split("/")):
            raise FlowError(f"{model.version.tag}: the list of files of {out} leads out of it")
        return {name: value for name, value in found.items() if only(name)}

    def _have(self, model: LockedModel, files: Mapping[str, str]) -> None:
        wanted = [(name, HashInfo("md5", md5)) for name, md5 in files.items()]
        try:
            with dvc.errors(model.version.tag):
                lost = self._objects.missing(wanted, fetch=True)
        except FlowError:
            raise
        except Exception as error:  # of the file system or the store, each its own
            raise RemoteError(
                f"fetching {model.version.tag}: {redacted(str(error)) or type(error).__name__}"
            ) from error
        if lost:
            named = "; ".join(f"{name} {why}" for name, why in sorted(lost.items())[:3])
            raise FlowError(f"{model.version.tag} cannot be judged: {named}")

    def answers(self, candidate: LockedModel, in_service: LockedModel, logger: Logger) -> Path:
        """Predictions of the model in service on the candidate's questions, asked now.

        Raises:
            FlowError: it could not be asked.
        """
        folder, name = "asked", in_service.version.name
        table = self.bring(candidate, f"{MIXTURE}/test.parquet", folder)
        shards = _shards(table)
        for out in candidate.outs:
            wanted = {shard for shard in shards if shard.startswith(f"{out}/")}
            if wanted:
                self.bring(candidate, out, folder, wanted.__contains__)
                shards -= wanted
        if shards:
            raise FlowError(
                f"{candidate.version.tag} cannot be judged: no output of its dvc.lock has {min(shards)}, whose chips "
                "its questions are about"
            )
        self.bring(in_service, MODEL, name)
        self.bring(candidate, MODEL, "candidate", lambda path: path.endswith("/normalisation.json"))
        params = load(EvaluateParams, "evaluate", self.root / "params.yaml")
        words = [
            "python", "-m", "earthloom", "evaluate", f"../{name}/{MODEL}", "--name", name, "--out", "runs",
            "--benchmarks", HELD_OUT.name, "--slots", params.batch, "--max-new-tokens", params.max_new_tokens,
            "--device", params.device, "--threads", params.threads,
            # Of sensors that it was never trained on; of all others it has its own.
            "--normalise-from", f"../candidate/{MODEL}",
            *(["--controls", *params.controls] if params.controls else []),
        ]  # fmt: skip
        command = Instance(f"gate-{name}", shlex.join(map(str, words)), (), (), (), (), "cpu", ())
        # The code is the candidate's, as if stage `evaluate` asked: an import finds it before what is installed.
        commands = Commands(self.scratch / folder, {"PYTHONPATH": str(self.root)})
        try:
            commands.run(command, logger)
        except CommandError as error:
            raise FlowError(
                f"{in_service.version.tag}, which is in service, could not be asked the questions of "
                f"{candidate.version.tag}: {error}. If the code has changed so that it never can be, put the new one "
                f"into service by hand: `earthloom rollback --to {candidate.version.name}`"
            ) from error
        except BaseException:
            commands.stop()
            raise
        return self.scratch / folder / "runs" / name / HELD_OUT.name / "predictions.parquet"


def _shards(table: Path) -> set[str]:
    images = pc.list_flatten(tables.read(table, ["images"])["images"])
    return set(pc.struct_field(images, "shard").unique().to_pylist())
