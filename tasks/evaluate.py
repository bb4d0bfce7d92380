"""Stage `evaluate`: held-out questions answered by each trained model, always beside its controls.

The held-out split is asked by the runner of `earthloom evaluate`, as one more benchmark: every turn of a test
conversation that has one short answer, once, after the true turns before it, by greedy decoding, and then without the
right image, in each way that `evaluate.controls` names. The majority answer of the training side to the same question
needs no model at all. A score is believed only beside them.
"""

from pydantic import Field, field_validator

from tasks.core import paths
from tasks.core.section import Section, load
from tasks.core.stage import Summary, address, main, read_json, write_json
from tasks.dialogue.kinds import scored_exactly
from tasks.vlm.controls import ControlName
from tasks.vlm.samples import bare_question, read_samples


class EvaluateParams(Section):
    """How the held-out questions are asked and scored."""

    device: str = Field(pattern="^(cpu|cuda)$", description="where the model answers")
    threads: int = Field(ge=0, description="CPU threads, 0 for all")
    batch: int = Field(ge=1, description="questions answered side by side")
    max_new_tokens: int = Field(ge=1, description="longest answer")
    controls: list[ControlName] = Field(description="what the model is asked again with, each beside its score")
    bootstrap: int = Field(ge=100, description="resamplings of the test chips behind each confidence interval")
    seed: int = Field(ge=0, description="of the resampling")

    @field_validator("controls")
    @classmethod
    def _is_each_once(cls, controls: list[ControlName]) -> list[ControlName]:
        doubled = sorted({name for name in controls if controls.count(name) > 1})
        if doubled:
            raise ValueError(f"each control once; {', '.join(doubled)} stands more than once")
        return controls


def run(model: str) -> Summary:
    """Answer and score the test questions of the last stage's mixture.

    Args:
        model: earthdial or rsmoe, the key of a trained model.
    """
    import torch

    from tasks.evaluation.metrics.held_out import Majority, MarkedAnswers, above_controls, beside_blind, write_csv
    from tasks.evaluation.names import side_name, trained_model
    from tasks.evaluation.runner.checkpoint_model import Checkpoint, CheckpointSettings
    from tasks.evaluation.runner.held_out import HeldOut
    from tasks.evaluation.runner.predictions import rows_of
    from tasks.evaluation.runner.questions import EvaluationJob
    from tasks.evaluation.runner.run import answers_of, check, write
    from tasks.vlm.world import World

    asked = trained_model(model)
    params = load(EvaluateParams, "evaluate")
    if params.threads:
        torch.set_num_threads(params.threads)
    source, training = HeldOut(), paths.mixture("3") / "train.parquet"
    majority = Majority(
        (question_type, bare_question(question), answer)
        for sample in read_samples(training)
        for question_type, (question, answer) in zip(sample.question_types, sample.turns, strict=True)
        if scored_exactly(question_type, answer)
    )
    settings = CheckpointSettings(params.batch, params.max_new_tokens)
    checkpoint = Checkpoint(asked.checkpoint, settings, params.device)
    job = EvaluationJob(checkpoint, asked.title, source, params.controls, side_name(training))
    check(job)
    answers = answers_of(job, paths.work(address("evaluate", model)), World())
    assert answers is not None  # of one process alone
    marked = MarkedAnswers(rows_of(job, answers), majority, params.controls, params.bootstrap, params.seed)
    scores = marked.scores()
    scores["by_type"] = beside_blind(scores["by_type"], read_json(paths.blind() / "marks.json"))
    folder = paths.evaluate(model)
    record = write(job, folder, answers, marked.rows())
    write_json(folder / "scores.json", scores)
    write_csv(scores, marked.columns, folder / "scores.csv")
    by_type = scores["by_type"].values()
    return {
        "questions": record["n"],
        "not_scored": sum(record.get("not_scored", {}).values()),
        "rejected": sum(record["rejected"].values()),
        "chips": scores["overall"]["chips"],
        **{name: scores["overall"][name] for name in marked.columns if name in scores["overall"]},
        "controls_not_asked": {name: count for name, count in marked.not_asked().items() if count},
        "types_above_every_control": sum(above_controls(score, marked.columns) for score in by_type),
        "types_with_a_constant_answer": sum(bool(score["constant_answer"]) for score in by_type),
    }


if __name__ == "__main__":
    main("evaluate", run)
