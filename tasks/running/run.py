"""One benchmark asked of one model: planned, answered in parts, and written for the scorers."""

import hashlib
import json
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
import tasks.inference
import tasks.running
from tasks.benchmarks.registry import Benchmark
from tasks.core import tables
from tasks.core.errors import UnaskableError
from tasks.core.stage import fingerprint, write_json
from tasks.inference.arms import kind_key, partners
from tasks.inference.world import World
from tasks.running.parts import Parts
from tasks.running.predictions import ARM_COLUMNS, REJECTED, rows_of, schema_of
from tasks.running.questions import Answer, Arm, Asked, Model
from tasks.running.source import Imported

PART = 64
"""Samples a part: what a killed run may lose."""
Progress = Callable[[Arm, int], None]
"""Told how many answers of an arm are there."""


@dataclass(frozen=True)
class Job:
    """What is run."""

    model: Model
    name: str
    """What the model is called in tables."""
    benchmark: Benchmark
    source: Imported
    arms: Sequence[Arm] = ()
    training: str | None = None
    """Name of what the model was trained on, as `earthloom leakage` files it."""

    @property
    def all_arms(self) -> list[Arm]:
        """The plain answer, and the controls."""
        return ["answer", *self.arms]


def check(job: Job) -> None:
    """See whether a model can be shown a benchmark's images at all, before any is.

    Raises:
        RunError: it cannot; says what is missing.
    """
    kinds = {kind_key(images): images for _, images in job.source.outlines()}
    job.model.check([image for images in kinds.values() for image in images], job.benchmark.name)


def run(job: Job, folder: Path, world: World, progress: Progress | None = None) -> dict[str, Any] | None:
    """Answer what is not answered yet, and write predictions.parquet, rejects.parquet and run.json.

    Args:
        job: what is asked of whom.
        folder: of this run; parts lie in it, in `.parts`.
        world: the processes that share the work.
        progress: told of each answer of this process.

    Returns:
        run.json; None in all processes but the first.

    Raises:
        EarthloomError: the model cannot be reached for now.
    """
    outlines = job.source.outlines()
    others = partners([kind_key(images) for _, images in outlines], [group for group, _ in outlines])
    parts = Parts(folder / ".parts", len(job.source), PART)
    made_of = _made_of(job)
    if world.rank == 0:
        parts.begin(fingerprint(made_of, PART), f"{job.name} on {job.benchmark.name}")
    world.wait()
    for arm in job.all_arms:
        _answer(job, parts, arm, others, world, progress)
    world.wait()
    if world.rank:
        return None
    return _write(job, folder, {arm: parts.read(arm) for arm in job.all_arms}, made_of)


def _answer(
    job: Job, parts: Parts, arm: Arm, others: Sequence[int | None], world: World, progress: Progress | None
) -> None:
    """Make the missing parts of an arm; to the model they are one stream: no slot waits for the end of a part."""
    missing = parts.missing(arm, world)
    refused: list[Answer] = []
    due: dict[int, int] = {}  # part -> answers that it still waits for
    held: dict[int, list[Answer]] = defaultdict(list)

    def asked() -> Iterator[Asked]:
        for part in missing:
            due[part] = len(parts.numbers(part))
            good = []
            for number in parts.numbers(part):
                try:
                    one = _question(job, number, arm, others[number])
                    good.append((job.model.length(one), one))
                except UnaskableError as error:
                    refused.append(Answer.refused(number, error))
            yield from (one for _, one in sorted(good, key=lambda pair: (pair[0], pair[1].number)))

    def keep(answer: Answer) -> None:
        part = answer.number // parts.size
        held[part].append(answer)
        due[part] -= 1
        if not due[part]:
            parts.write(arm, part, held.pop(part))
        if progress is not None:
            progress(arm, 1)

    if progress is not None:
        ours = range(world.rank, len(parts), world.size)
        progress(arm, sum(len(parts.numbers(part)) for part in ours if part not in missing))
    for answer in job.model.answer(asked()):
        keep(answer)
        while refused:
            keep(refused.pop())
    while refused:
        keep(refused.pop())


def _question(job: Job, number: int, arm: Arm, other: int | None) -> Asked:
    sample = job.source.sample(number)
    images = sample.images
    if arm == "other-image":
        if other is None:
            raise UnaskableError("no_other_image", "no other sample has images of this kind")
        images = job.source.sample(other).images
    return Asked(number, sample, images, job.source.folder, arm)


def _made_of(job: Job) -> dict[str, Any]:
    """What the answers depend on."""
    packages = (models, tasks.inference, tasks.running)
    code = [Path(str(package.__path__[0])) for package in packages]
    return {"model": dict(job.model.told), "table": job.source.digest, "code": fingerprint(*code)}


def _write(job: Job, folder: Path, answers: Mapping[Arm, list[Answer]], made_of: Mapping[str, Any]) -> dict[str, Any]:
    own = answers["answer"]
    rows = rows_of(job, job.source.rows(), answers)
    tables.write_rows(rows, schema_of(job.arms, rows), folder / "predictions.parquet")
    rejected = [
        {"id": row["id"], "arm": arm, "reason": answer.rejected, "detail": answer.detail}
        for arm in job.all_arms
        for row, answer in zip(rows, answers[arm], strict=True)
        if answer.rejected
    ]
    tables.write_rows(rejected, REJECTED, folder / "rejects.parquet")
    prompts = hashlib.blake2b(json.dumps([answer.prompt for answer in own]).encode(), digest_size=16)
    told = {
        "model": job.name,
        "benchmark": job.benchmark.name,
        "task": job.benchmark.task,
        "boxes": job.model.boxes,
        "training": job.training,
        "source": job.source.record["source"],
        "comparable": job.source.record["comparable"],
        "benchmark_digest": job.source.record["digest"],
        "left_out_at_import": sum(job.source.record["rejected"].values()),
        "n": len(rows),
        "rejected": _reasons(own),
        "cut_at_the_longest": sum(answer.stop == "length" for answer in own),
        "arms": {
            ARM_COLUMNS[arm]: {"n": sum(not a.rejected for a in answers[arm]), "rejected": _reasons(answers[arm])}
            for arm in job.arms
        },
        "asked": made_of["model"],
        "prompts": prompts.hexdigest(),
        "code": {"commit": commit(), "hash": made_of["code"]},
    }
    write_json(folder / "run.json", told)
    return told


def _reasons(answers: Sequence[Answer]) -> dict[str, int]:
    return dict(sorted(Counter(answer.rejected for answer in answers if answer.rejected).items()))


def commit() -> str | None:
    """The commit of this checkout, `+` where files were changed since; None where it is none."""
    git = shutil.which("git")
    here = Path(tasks.running.__file__).parent
    if git is None:
        return None
    head = subprocess.run([git, "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    if head.returncode:
        return None
    changes = subprocess.run([git, "diff", "--quiet", "HEAD"], cwd=here, capture_output=True, check=False)
    return head.stdout.strip() + ("+" if changes.returncode else "")
