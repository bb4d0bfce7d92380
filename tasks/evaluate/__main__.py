"""Stage `evaluate`: held-out questions answered by the trained model, always beside its controls.

Every turn of a test conversation is asked once, after the true turns before it, and answered by greedy
decoding. The same model then answers without the right image, in each way that `evaluate.controls` names, and the
majority answer of the training side to the same question needs no model at all. A score is believed only beside them.
"""

import pyarrow as pa

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import load
from tasks.core.stage import Summary, main, write_json
from tasks.evaluate.answers import FIRST, predict
from tasks.evaluate.params import EvaluateParams
from tasks.evaluate.scores import Majority, Marked, above_controls, write_csv
from tasks.inference.samples import bare_question, read_samples


def run() -> Summary:
    """Answer and score the test questions of the last stage's mixture."""
    params = load(EvaluateParams, "evaluate")
    samples = list(read_samples(paths.mixture("3") / "test.parquet"))
    if not samples:
        raise EmptyStageError("the mixture of stage 3 has no test sample; see data/split and split.test")
    majority = Majority(
        (question_type, bare_question(question), answer)
        for sample in read_samples(paths.mixture("3") / "train.parquet")
        for question_type, (question, answer) in zip(sample.question_types, sample.turns, strict=True)
    )
    rows = predict(samples, paths.train("3"), params)
    marked = Marked(rows, majority, params)
    scores = marked.scores()
    folder = paths.evaluate()
    tables.write_rows(marked.rows(rows), schema_of(marked), folder / "predictions.parquet")
    write_json(folder / "scores.json", scores)
    write_csv(scores, marked.arms, folder / "scores.csv")
    by_type = scores["by_type"].values()
    return {
        "questions": len(rows),
        "chips": scores["overall"]["chips"],
        **{name: scores["overall"][name] for name in marked.arms if name in scores["overall"]},
        "controls_not_asked": {name: count for name, count in marked.not_asked().items() if count},
        "types_above_every_control": sum(above_controls(told, marked.arms) for told in by_type),
        "types_with_a_constant_answer": sum(bool(told["constant_answer"]) for told in by_type),
    }


def schema_of(marked: Marked) -> pa.Schema:
    """`FIRST`, the answers of every other arm, and the marks of all."""
    answers = [answer for answer, _ in marked.arms.values() if answer != "answer"]
    marks = [mark for _, mark in marked.arms.values()]
    told = [pa.field(name, pa.string()) for name in answers] + [pa.field(name, pa.bool_()) for name in marks]
    return pa.schema([*FIRST, *told])


if __name__ == "__main__":
    main("evaluate", run)
