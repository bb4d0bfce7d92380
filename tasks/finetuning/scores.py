"""Held-out pairs asked before and after: short answers word for word, beside what needs no image and no training."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.core.stage import write_json
from tasks.evaluation.metrics.held_out import Majority, MarkedAnswers
from tasks.evaluation.metrics.text_normalisation import normalise_text
from tasks.evaluation.runner.checkpoint_model import Checkpoint, CheckpointSettings
from tasks.evaluation.runner.held_out import HeldOut
from tasks.evaluation.runner.predictions import rows_of
from tasks.evaluation.runner.questions import EvaluationJob
from tasks.evaluation.runner.run import answers_of, check, write
from tasks.vlm.controls import CONTROLS, ControlName
from tasks.vlm.samples import Samples, bare_question, read_samples
from tasks.vlm.world import World

BLANK = [control for control in CONTROLS.values() if control.images == "none"]
"""The controls that say what the question alone gives away."""
ASKED: tuple[ControlName, ...] = tuple(control.name for control in BLANK)
BOOTSTRAP, SEED = 1000, 0


class Short:
    """Which answers are scored word for word: those of a few words."""

    def __init__(self, words: int) -> None:
        """`words`: at most so many."""
        self.words = words

    def __call__(self, _kind: str, answer: str) -> bool:
        """Whether an answer is short."""
        return 0 < len(normalise_text(answer).split()) <= self.words


def count_short(samples: Iterable[Any], short: Short) -> int:
    """Short answers of some samples."""
    return sum(short("", answer) for sample in samples for _, answer in sample.turns)


def majority_of(samples: Samples, short: Short) -> Majority:
    """The commonest short answers of the side that is trained on."""
    return Majority(
        (kind, bare_question(question), answer)
        for sample in samples
        for kind, (question, answer) in zip(sample.question_types, sample.turns, strict=True)
        if short(kind, answer)
    )


def score(
    name: str,
    checkpoint: Path,
    settings: CheckpointSettings,
    device: str,
    sides: dict[str, Path],
    short: Short,
    out: Path,
    work: Path,
) -> dict[str, Any] | None:
    """Scores of the short held-out answers of a model; None where there is none.

    Args:
        name: of the model, for the record.
        checkpoint: its folder.
        settings: with its adapter, and the statistics of the pairs.
        device: where it answers.
        sides: tables of what is trained on and of what is held out.
        short: which answers are scored.
        out: where predictions.parquet, run.json and scores.json go.
        work: what a killed run goes on from.
    """
    if not count_short(read_samples(sides["val"]), short):
        return None
    job = EvaluationJob(Checkpoint(checkpoint, settings, device), name, HeldOut(sides["val"], short), ASKED)
    check(job)
    answers = answers_of(job, work, World())
    assert answers is not None  # of one process alone
    majority = majority_of(read_samples(sides["train"]), short)
    marked = MarkedAnswers(rows_of(job, answers), majority, ASKED, BOOTSTRAP, SEED)
    write(job, out, answers, marked.rows())
    scores = marked.scores()
    write_json(out / "scores.json", scores)
    overall: dict[str, Any] = scores["overall"]
    return overall
