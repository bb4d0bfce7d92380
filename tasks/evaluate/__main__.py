"""Stage `evaluate`: held-out questions answered by the trained model, always beside its controls.

The held-out split is asked by the runner of `earthloom evaluate`, as one more benchmark: every turn of a test
conversation once, after the true turns before it, by greedy decoding, and then without the right image, in each way
that `evaluate.controls` names. The majority answer of the training side to the same question needs no model at all. A
score is believed only beside them.
"""

from tasks.core import paths
from tasks.core.section import load
from tasks.core.stage import Summary, main, write_json
from tasks.evaluate.params import EvaluateParams
from tasks.evaluate.scores import Majority, Marked, above_controls, write_csv
from tasks.inference.samples import bare_question, read_samples


def run() -> Summary:
    """Answer and score the test questions of the last stage's mixture."""
    import torch

    from tasks.benchmarks.registry import HELD_OUT
    from tasks.inference.world import World
    from tasks.leakage.names import side_name
    from tasks.running.checkpoint import Checkpoint, CheckpointSettings
    from tasks.running.held_out import HeldOut
    from tasks.running.predictions import rows_of
    from tasks.running.run import Job, answers_of, check, write

    params = load(EvaluateParams, "evaluate")
    if params.threads:
        torch.set_num_threads(params.threads)
    source, training = HeldOut(), paths.mixture("3") / "train.parquet"
    majority = Majority(
        (question_type, bare_question(question), answer)
        for sample in read_samples(training)
        for question_type, (question, answer) in zip(sample.question_types, sample.turns, strict=True)
    )
    settings = CheckpointSettings(params.batch, params.max_new_tokens)
    model = Checkpoint(paths.train("3"), settings, params.device)
    job = Job(model, HELD_OUT.model, source, params.controls, side_name(training))
    check(job)
    answers = answers_of(job, paths.work("evaluate"), World())
    assert answers is not None  # of one process alone
    marked = Marked(rows_of(job, answers), majority, params)
    scores = marked.scores()
    folder = paths.evaluate()
    record = write(job, folder, answers, marked.rows())
    write_json(folder / "scores.json", scores)
    write_csv(scores, marked.columns, folder / "scores.csv")
    by_type = scores["by_type"].values()
    return {
        "questions": record["n"],
        "rejected": sum(record["rejected"].values()),
        "chips": scores["overall"]["chips"],
        **{name: scores["overall"][name] for name in marked.columns if name in scores["overall"]},
        "controls_not_asked": {name: count for name, count in marked.not_asked().items() if count},
        "types_above_every_control": sum(above_controls(score, marked.columns) for score in by_type),
        "types_with_a_constant_answer": sum(bool(score["constant_answer"]) for score in by_type),
    }


if __name__ == "__main__":
    main("evaluate", run)
