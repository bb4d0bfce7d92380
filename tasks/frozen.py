"""Stage `frozen`: the released model asked a set of questions that never changes, beside the same controls.

What the demo asks changes from version to version; the frozen set of `evaluate.frozen` does not, and so tells a better
model from easier questions. What the training side of today never asks is counted and scored apart.
"""

from typing import Any

import numpy as np

from tasks.core import paths
from tasks.core.section import load
from tasks.core.stage import Summary, address, main, write_json
from tasks.evaluation.evaluate_params import EvaluateParams
from tasks.evaluation.frozen import Frozen, is_spectral


def run() -> Summary:
    """Answer and score the frozen set; without one an empty scores.json says so."""
    from tasks.evaluation.guessing.table import read_guesses
    from tasks.evaluation.metrics.held_out import GROUPS
    from tasks.evaluation.names import MODELS, RELEASED
    from tasks.evaluation.runner.asked_checkpoint import ask
    from tasks.evaluation.runner.held_out import HeldOut
    from tasks.vlm.controls import CONTROLS

    params = load(EvaluateParams, "evaluate")
    folder = paths.frozen()
    frozen = Frozen.of(params.frozen)
    if frozen is None:
        write_json(folder / "scores.json", {})
        return {"questions": 0}
    source = HeldOut(frozen.questions)
    guesses = read_guesses(frozen.name, [row["id"] for row in source.rows()])
    blind = next(control for control in CONTROLS.values() if control.images == "none")
    model = MODELS[RELEASED]
    asked = ask(model.checkpoint, model.title, source, [blind.name], paths.work(address("frozen")), params)
    marked = asked.marked(guesses, params)
    frame = marked.predictions.frame
    modality = frame["modality"].to_numpy()
    spectral = np.array(
        [is_spectral(kind, guesses[one]["label_source"]) for kind, one in frame.select("question_type", "id").rows()]
    )
    groups = {f"spectral, {name}": spectral & (modality == name) for name in sorted(set(modality[spectral]))}
    known = np.array([guesses[one]["asked_in_training"] for one in frame["id"]])
    groups |= {"asked in training as well": known, "never asked in training": ~known}
    scores: dict[str, Any] = marked.scores()
    scores["groups"] = {name: marked.score(np.flatnonzero(where)) for name, where in groups.items() if where.any()}
    scores |= {"name": frozen.name, "blind": blind.key}
    scores["over_blind"] = {
        name: marked.over(np.flatnonzero(modality == name), blind.key) for name in sorted(set(modality))
    }
    record = asked.write(folder, marked, scores)
    return {
        "questions": record["n"],
        "rejected": sum(record["rejected"].values()),
        **{name: scores["overall"][name] for name in marked.columns if name in scores["overall"]},
        **{name: one["accuracy"] for name, one in scores["groups"].items()},
        **{column: len(scores[column]) for column in GROUPS if column == "by_type"},
    }


if __name__ == "__main__":
    main("frozen", run)
