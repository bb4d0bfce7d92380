"""A checkpoint of this project asked a table of samples, as the stages `evaluate`, `frozen` and `forgetting` do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import paths
from tasks.core.stage import write_json
from tasks.evaluation.evaluate_params import EvaluateParams
from tasks.evaluation.guessing.table import Guessed
from tasks.evaluation.metrics.held_out import MarkedAnswers, write_csv
from tasks.evaluation.names import side_name
from tasks.evaluation.runner.checkpoint_model import Checkpoint, CheckpointSettings
from tasks.evaluation.runner.held_out import HeldOut
from tasks.evaluation.runner.predictions import rows_of
from tasks.evaluation.runner.questions import EvaluationJob
from tasks.evaluation.runner.run import Answers, answers_of, check, write
from tasks.vlm.controls import ControlName
from tasks.vlm.world import World


@dataclass(frozen=True)
class AskedCheckpoint:
    """All answers of one checkpoint to one table."""

    job: EvaluationJob
    answers: Answers

    @property
    def rows(self) -> list[dict[str, Any]]:
        """As `tasks.evaluation.runner.predictions.rows_of` makes them."""
        return rows_of(self.job, self.answers)

    def marked(self, guesses: Guessed, params: EvaluateParams) -> MarkedAnswers:
        """The answers beside those that need no model."""
        return MarkedAnswers(self.rows, guesses, self.job.controls, params.bootstrap, params.seed)

    def write(self, folder: Path, marked: MarkedAnswers, scores: dict[str, Any]) -> dict[str, Any]:
        """Write predictions, rejects, run.json, scores.json and scores.csv; returns run.json."""
        record = write(self.job, folder, self.answers, marked.rows())
        write_json(folder / "scores.json", scores)
        write_csv(scores, marked.columns, folder / "scores.csv")
        return record


def ask(
    checkpoint: Path,
    title: str,
    source: HeldOut,
    controls: Sequence[ControlName],
    work: Path,
    params: EvaluateParams,
) -> AskedCheckpoint:
    """Ask every question that has no answer yet.

    Args:
        checkpoint: its folder.
        title: what tables call the model.
        source: the questions.
        controls: that they are asked again with.
        work: folder of the answers of a run that was cut off.
        params: how they are asked.

    Raises:
        EarthloomError: the folder is no checkpoint, or it cannot be shown the images.
    """
    import torch

    if params.threads:
        torch.set_num_threads(params.threads)
    settings = CheckpointSettings(params.batch, params.max_new_tokens)
    model = Checkpoint(checkpoint, settings, params.device)
    job = EvaluationJob(model, title, source, list(controls), side_name(paths.mixture("3") / "train.parquet"))
    check(job)
    answers = answers_of(job, work, World())
    assert answers is not None  # of one process alone
    return AskedCheckpoint(job, answers)
