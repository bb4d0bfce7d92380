"""The limits of a checkpoint with its scores: those beside it, or those of stage `evaluate` of this data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core import paths
from tasks.core.stage import checkpoint_hash, read_json
from tasks.evaluation.names import MODELS
from tasks.vlm.limits import SCORES_FILE, Limits


def limits_of(checkpoint: Path) -> Limits | None:
    """What a checkpoint's model was taught, and how it did; None where that is not on record."""
    limits = Limits.load(checkpoint)
    if limits is None or limits.scores is not None:
        return limits
    return limits.scored(scores_of(checkpoint))


def scores_of(checkpoint: Path) -> Mapping[str, Any] | None:
    """Scores of a checkpoint that a stage left, if these very files were evaluated."""
    for key, model in MODELS.items():
        run, scores = (paths.evaluate(key) / name for name in ("run.json", SCORES_FILE))
        here = checkpoint.resolve() == model.checkpoint.resolve() and run.is_file() and scores.is_file()
        if here and read_json(run).get("asked", {}).get("checkpoint") == checkpoint_hash(checkpoint):
            found: Mapping[str, Any] = read_json(scores)
            return found
    return None
