"""Stage `forgetting`: the questions in true colour, asked after each stage of training.

EarthDial's stages go from true colour to other sensors, and what was learned first may be lost. So the test questions
that show red, green and blue alone are asked of the checkpoint of every stage, without controls: whether the last one
still answers them. The answers of the last are those that stage `evaluate` has.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tasks.core import paths, tables
from tasks.core.section import load
from tasks.core.stage import Summary, address, main, require, write_json
from tasks.evaluation.evaluate_params import EvaluateParams

MODALITY = "rgb"
MARGIN = 0.01
"""Of accuracy that the last stage may be below the one before: one point."""
EARLIER = ("1", "2")
LAST = "3"


def run() -> Summary:
    """Ask the checkpoints of the earlier stages, and hold the last one against them."""
    from tasks.evaluation.metrics import classification
    from tasks.evaluation.metrics.bootstrap import means
    from tasks.evaluation.metrics.predictions import Predictions
    from tasks.evaluation.names import RELEASED
    from tasks.evaluation.runner.asked_checkpoint import ask
    from tasks.evaluation.runner.held_out import HeldOut

    params = load(EvaluateParams, "evaluate")
    path = require(paths.evaluate(RELEASED) / "predictions.parquet")
    last = tables.read_frame(path).filter(pl.col("modality") == MODALITY)
    folder = paths.forgetting()
    if last.is_empty():
        write_json(folder / "scores.json", {"n": 0})
        return {"questions": 0}
    source = HeldOut(modality_alone=MODALITY)
    rows: dict[str, pl.DataFrame] = {}
    for stage in EARLIER:
        asked = ask(paths.train(stage), f"stage {stage}", source, [], paths.work(address("forgetting", stage)), params)
        rows[stage] = pl.DataFrame(asked.rows, infer_schema_length=None)
    marks: dict[str, Any] = {}
    for stage in EARLIER:
        predictions = Predictions(Path(f"stage {stage}"), "vqa", rows[stage], "annotation")
        marks[stage] = classification.correct(predictions.answered(rows[stage]["answer"].fill_null("")))
    order = last.select("id", "correct", "image_id")
    aligned = rows[EARLIER[0]].select("id").join(order, on="id", how="left", maintain_order="left")
    marks[LAST] = aligned["correct"].to_numpy().astype(bool)
    groups = aligned["image_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
    sums = means(marks)
    reached, edges = sums.scores(), sums.intervals(groups, params.bootstrap, params.seed)
    resampled = sums.resampled(groups, params.bootstrap, params.seed)
    before = EARLIER[-1]
    low, high = np.quantile(resampled[LAST] - resampled[before], [0.025, 0.975]) / 100
    change = (reached[LAST] - reached[before]) / 100
    scores: dict[str, Any] = {
        "n": len(aligned),
        "chips": aligned["image_id"].n_unique(),
        "after": {
            stage: {"accuracy": round(reached[stage] / 100, 4), "ci95": [round(e / 100, 4) for e in edges[stage]]}
            for stage in (*EARLIER, LAST)
        },
        "change": {"difference": round(change, 4), "ci95": [round(float(low), 4), round(float(high), 4)]},
        "margin": MARGIN,
        "forgotten": bool(change < -MARGIN),
    }
    write_json(folder / "scores.json", scores)
    return {
        "questions": len(aligned),
        **{f"after_stage_{stage}": one["accuracy"] for stage, one in scores["after"].items()},
        "change": scores["change"]["difference"],
        "forgotten": scores["forgotten"],
    }


if __name__ == "__main__":
    main("forgetting", run)
