"""One source of questions asked of one model: planned, answered in chunks, and written for the scorers."""

import hashlib
import json
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.core import tables
from tasks.core.code import ROOT, code
from tasks.core.errors import UnaskableError
from tasks.core.stage import fingerprint, write_json
from tasks.evaluation.runner.answer_cache import AnswerCache
from tasks.evaluation.runner.predictions import REJECTED, Row, rows_of, schema_of
from tasks.evaluation.runner.questions import Answer, BenchmarkQuestion, EvaluationJob, QuestionSource
from tasks.vlm.controls import CONTROLS, ControlName, kind_key, partners
from tasks.vlm.world import World

CHUNK = 64
"""Questions a chunk of the answer cache: what a killed run may lose."""
Answers = dict[ControlName | None, list[Answer]]
"""To every question as it is (None), and as each control asks it."""
Progress = Callable[[ControlName | None, int], None]
"""Called with how many more answers there are, of the questions as they are or of a control."""


def check(job: EvaluationJob) -> None:
    """See whether a model can be shown a benchmark's images at all, before any is.

    Raises:
        RunError: it cannot; says what is missing.
    """
    kinds = {kind_key(images): images for _, images in job.source.outlines()}
    job.model.check([image for images in kinds.values() for image in images], job.source.name)


def code_of(job: EvaluationJob) -> str:
    """Hash of the code that the answers of a run depend on: this module's, the model's and the questions'."""
    return fingerprint(
        *(code(module) for module in (__name__, type(job.model).__module__, type(job.source).__module__))
    )


def answers_of(job: EvaluationJob, folder: Path, world: World, progress: Progress | None = None) -> Answers | None:
    """Answer what is not answered yet.

    Args:
        job: what is asked of whom.
        folder: of the answer cache.
        world: the processes that share the work.
        progress: called for each answer of this process.

    Returns:
        All answers; None in all processes but the first.

    Raises:
        EarthloomError: the model cannot be reached for now.
    """
    outlines = job.source.outlines()
    others = partners([kind_key(images) for _, images in outlines], [group for group, _ in outlines])
    cache = AnswerCache(folder, len(job.source), CHUNK)
    if world.rank == 0:
        made_of = {"model": dict(job.model.provenance), "table": job.source.digest, "code": code_of(job)}
        cache.begin(fingerprint(made_of, CHUNK), f"{job.name} on {job.source.name}")
    world.wait()
    for control in job.asked:
        _answer(job, cache, control, others, world, progress)
    world.wait()
    return None if world.rank else {control: cache.read(control) for control in job.asked}


def run(job: EvaluationJob, folder: Path, world: World, progress: Progress | None = None) -> dict[str, Any] | None:
    """Answer what is not answered yet, and write predictions.parquet, rejects.parquet and run.json.

    Args:
        job: what is asked of whom.
        folder: of this run; the answer cache lies in it, in `.answers`.
        world: the processes that share the work.
        progress: called for each answer of this process.

    Returns:
        run.json; None in all processes but the first.

    Raises:
        EarthloomError: the model cannot be reached for now.
    """
    answers = answers_of(job, folder / ".answers", world, progress)
    if answers is None:
        return None
    return write(job, folder, answers, rows_of(job, answers), {"commit": commit(), "hash": code_of(job)})


def _answer(
    job: EvaluationJob,
    cache: AnswerCache,
    control: ControlName | None,
    others: Sequence[int | None],
    world: World,
    progress: Progress | None,
) -> None:
    """Ask what has no answer yet; to the model it is one stream: no slot waits for the end of a chunk."""
    answered = cache.answered(control, world)
    due = {
        chunk: [number for number in cache.numbers(chunk) if number not in {answer.number for answer in there}]
        for chunk, there in answered.items()
    }
    refused: list[Answer] = []
    held = defaultdict(list, answered)

    def questions() -> Iterator[BenchmarkQuestion]:
        for numbers in due.values():
            good = []
            for number in numbers:
                try:
                    one = question_as(job.source, number, control, others[number])
                    good.append((job.model.length(one), one))
                except UnaskableError as error:
                    refused.append(Answer.refused(number, error))
            # Like lengths side by side waste the least padding; sorted in a chunk only, so that a chunk is complete and
            # written early, and a killed run loses little.
            yield from (one for _, one in sorted(good, key=lambda pair: (pair[0], pair[1].number)))

    def keep(answer: Answer) -> None:
        chunk = answer.number // cache.size
        held[chunk].append(answer)
        if len(held[chunk]) == len(cache.numbers(chunk)):
            cache.write(control, chunk, held.pop(chunk))
        if progress is not None:
            progress(control, 1)

    if progress is not None:
        progress(control, sum(map(len, answered.values())))
    for answer in job.model.answer(questions()):
        keep(answer)
        while refused:
            keep(refused.pop())
    while refused:
        keep(refused.pop())


def question_as(
    source: QuestionSource, number: int, control: ControlName | None, other: int | None
) -> BenchmarkQuestion:
    """A question as a control asks it, about the images of question `other` where it wants another's.

    Raises:
        UnaskableError: it wants another's, and there is no other, or another order, and there is one image.
    """
    question = replace(source.question(number), control=control)
    if control is not None and CONTROLS[control].of_several:
        if len(question.images) < 2:
            raise UnaskableError("one_image", "an image alone has no order")
        return replace(question, images=question.images[::-1])
    if control is None or CONTROLS[control].images != "another":
        return question
    if other is None:
        raise UnaskableError("no_other_image", "no other sample has images of this kind")
    return replace(question, images=source.question(other).images)


def write(
    job: EvaluationJob, folder: Path, answers: Answers, rows: Sequence[Row], made_by: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write predictions.parquet, rejects.parquet and run.json.

    Args:
        job: what was asked of whom.
        folder: to write to.
        answers: of the questions as they are and of each control.
        rows: of predictions.parquet, as `rows_of` makes them of the answers, with columns of the caller's behind.
        made_by: commit and hash of the code; None where the engine that runs it keeps them.

    Returns:
        run.json.
    """
    own = answers[None]
    tables.write_rows(rows, schema_of(rows), folder / "predictions.parquet")
    rejected = [
        {"id": row["id"], "control": control, "reason": answer.rejected, "detail": answer.detail}
        for control in job.asked
        for row, answer in zip(rows, answers[control], strict=True)
        if answer.rejected
    ]
    tables.write_rows(rejected, REJECTED, folder / "rejects.parquet")
    prompts = hashlib.blake2b(json.dumps([answer.prompt for answer in own]).encode(), digest_size=16)
    record = {
        "model": job.name,
        "benchmark": job.source.name,
        "task": job.source.task,
        "boxes": job.model.box_form,
        "training": job.training,
        "source": job.source.record["source"],
        "comparable": job.source.record["comparable"],
        "benchmark_digest": job.source.record["digest"],
        "left_out_at_import": sum(job.source.record["rejected"].values()),
        **({"not_scored": left_out} if (left_out := dict(job.source.record.get("not_scored", {}))) else {}),
        "n": len(rows),
        "rejected": _reasons(own),
        "cut_at_the_longest": sum(answer.stop == "length" for answer in own),
        "controls": {control: _asked(answers[control]) for control in job.controls},
        "asked": dict(job.model.provenance),
        "prompts": prompts.hexdigest(),
        **({"code": dict(made_by)} if made_by else {}),
    }
    write_json(folder / "run.json", record)
    return record


def _asked(answers: Sequence[Answer]) -> dict[str, Any]:
    """How many questions a control could be asked of, and why not of the others."""
    return {"n": sum(not answer.rejected for answer in answers), "rejected": _reasons(answers)}


def _reasons(answers: Sequence[Answer]) -> dict[str, int]:
    return dict(sorted(Counter(answer.rejected for answer in answers if answer.rejected).items()))


def commit() -> str | None:
    """The commit of this checkout, `+` where files were changed since; None where it is none."""
    git = shutil.which("git")
    if git is None:
        return None
    head = subprocess.run([git, "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if head.returncode:
        return None
    changes = subprocess.run([git, "diff", "--quiet", "HEAD"], cwd=ROOT, capture_output=True, check=False)
    return head.stdout.strip() + ("+" if changes.returncode else "")
