"""Held-out pairs asked before and after: short answers word for word, beside what needs no image and no training."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.core.stage import write_json
from tasks.evaluation.guessing.asked import turn_id
from tasks.evaluation.guessing.commonest import commonest
from tasks.evaluation.metrics.guesses import GUESSES
from tasks.evaluation.metrics.held_out import MarkedAnswers
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


def guesses_of(training: Samples, held_out: Samples, short: Short) -> dict[str, dict[str, Any]]:
    """By id of a held-out question the commonest short training answer to the same words, or else to its type.

    Nothing else is guessed of one's own pairs: they have no scenes of ours, and no meaning of their questions is known.
    """
    same: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for sample in training:
        for kind, (question, answer) in zip(sample.question_types, sample.turns, strict=True):
            if short(kind, answer):
                for key in ((kind, bare_question(question)), (kind, "")):
                    same[key][normalise_text(answer)] += 1
    best = {key: commonest(seen) for key, seen in same.items()}
    column = GUESSES["majority"].column
    return {
        turn_id(sample.sample_id, number): {
            column: best.get((kind, bare_question(question))) or best.get((kind, ""), "")
        }
        for sample in held_out
        for number, (kind, (question, _)) in enumerate(zip(sample.question_types, sample.turns, strict=True))
    }


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
    job = EvaluationJob(Checkpoint(checkpoint, settings, device), name, HeldOut(sides["val"], scored=short), ASKED)
    check(job)
    answers = answers_of(job, work, World())
    assert answers is not None  # of one process alone
    guesses = guesses_of(read_samples(sides["train"]), read_samples(sides["val"]), short)
    marked = MarkedAnswers(rows_of(job, answers), guesses, ASKED, BOOTSTRAP, SEED)
    write(job, out, answers, marked.rows())
    scores = marked.scores()
    write_json(out / "scores.json", scores)
    overall: dict[str, Any] = scores["overall"]
    return overall
