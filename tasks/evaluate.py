"""Stage `evaluate`: held-out questions answered by each trained model, always beside its controls.

The held-out split is asked by the runner of `earthloom evaluate`, as one more benchmark: every turn of a test
conversation that has one short answer, once, after the true turns before it, by greedy decoding, and then without the
right image, in each way that `evaluate.controls` names. What needs no model at all was guessed by stage `guesses`. A
score is believed only beside them, by its paired difference to the best.
"""

from tasks.core import paths
from tasks.core.section import load
from tasks.core.stage import Summary, address, main, read_json
from tasks.evaluation.evaluate_params import EvaluateParams


def run(model: str) -> Summary:
    """Answer and score the test questions of the last stage's mixture.

    Args:
        model: earthdial or rsmoe, the key of a trained model.
    """
    from tasks.evaluation.guessing.table import TEST, read_guesses
    from tasks.evaluation.metrics.held_out import above_controls, below_best_control, beside_blind
    from tasks.evaluation.names import trained_model
    from tasks.evaluation.runner.asked_checkpoint import ask
    from tasks.evaluation.runner.held_out import HeldOut

    trained = trained_model(model)
    params = load(EvaluateParams, "evaluate")
    source = HeldOut()
    guesses = read_guesses(TEST, [row["id"] for row in source.rows()])
    work = paths.work(address("evaluate", model))
    asked = ask(trained.checkpoint, trained.title, source, params.controls, work, params)
    marked = asked.marked(guesses, params)
    scores = marked.scores()
    scores["by_type"] = beside_blind(scores["by_type"], read_json(paths.blind() / "marks.json"))
    record = asked.write(paths.evaluate(model), marked, scores)
    by_type, overall = scores["by_type"], scores["overall"]
    return {
        "questions": record["n"],
        "not_scored": sum(record.get("not_scored", {}).values()),
        "rejected": sum(record["rejected"].values()),
        "chips": overall["chips"],
        **{name: overall[name] for name in marked.columns if name in overall},
        "best_control": overall["over_best"]["control"],
        "over_best_control": overall["over_best"]["difference"],
        "controls_not_asked": {name: count for name, count in marked.not_asked().items() if count},
        "types_above_every_control": sum(map(above_controls, by_type.values())),
        "types_below_their_best_control": len(below_best_control(by_type)),
        "types_with_a_constant_answer": sum(bool(score["constant_answer"]) for score in by_type.values()),
    }


if __name__ == "__main__":
    main("evaluate", run)
