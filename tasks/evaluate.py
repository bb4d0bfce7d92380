"""Stage `evaluate`: held-out questions answered by the trained model, always beside two baselines.

Every turn of a test conversation is asked once, after the true turns before it, and answered by greedy
decoding. The same model then answers with its pixels replaced by the training mean (what the question alone
gives away), and the majority answer of the training side to the same question needs no model at all. A score
is believed only beside both.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load
from tasks.core.stage import Summary, atomic, main, write_json

if TYPE_CHECKING:
    from tasks.inference.samples import Sample

ARMS = {"accuracy": "correct", "no_image": "blank_correct", "majority": "majority_correct"}
"""Name of each score, and the column of predictions it is the mean of."""
PREDICTIONS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("turn", pa.int32()),
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("modality", pa.string()),
        ("question_type", pa.string()),
        ("question", pa.string()),
        ("prompt", pa.string()),
        ("annotation", pa.string()),  # the truth
        ("answer", pa.string()),
        ("blank_answer", pa.string()),  # by the same model, pixels replaced by the training mean
        ("majority_answer", pa.string()),  # of the training side, to the same question
        ("correct", pa.bool_()),
        ("blank_correct", pa.bool_()),
        ("majority_correct", pa.bool_()),
    ]
)
Row = dict[str, Any]


class EvaluateParams(Section):
    """`evaluate:` in params.yaml."""

    device: str = Field(pattern="^(cpu|cuda)$", description="where the model answers")
    threads: int = Field(ge=0, description="CPU threads, 0 for all")
    batch: int = Field(ge=1, description="questions answered side by side")
    max_new_tokens: int = Field(ge=1, description="longest answer")
    bootstrap: int = Field(ge=100, description="resamplings of the test chips behind each confidence interval")
    seed: int = Field(ge=0, description="of the resampling")


def normalise(answer: str) -> str:
    """An answer as it is compared: lower case, single spaces, no final period."""
    return " ".join(answer.lower().split()).rstrip(".").rstrip()


def is_correct(answer: str, truth: str, question_type: str) -> bool:
    """Exact match after `normalise`; a list is compared as a set, and every entry must be there."""
    if question_type == "list":
        return _entries(answer) == _entries(truth)
    return normalise(answer) == normalise(truth)


def _entries(answer: str) -> set[str]:
    return {entry for part in normalise(answer).split(",") if (entry := part.strip())}


class Majority:
    """Most frequent training answer to the same question, or else to questions of its type. Ties go by the
    alphabet.
    """

    def __init__(self, answers: Iterable[tuple[str, str, str]]) -> None:
        """From (question type, question, answer) of the training side."""
        counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for question_type, question, answer in answers:
            counts[question_type, question][normalise(answer)] += 1
            counts[question_type, ""][normalise(answer)] += 1
        self._best = {key: min(told, key=lambda answer: (-told[answer], answer)) for key, told in counts.items()}

    def answer(self, question_type: str, question: str) -> str:
        """The answer; empty if the training side knows nothing of the type."""
        return self._best.get((question_type, question)) or self._best.get((question_type, ""), "")


def questions_of(samples: Iterable["Sample"]) -> list[Row]:
    """One row for every turn, with the columns of `PREDICTIONS` that are known before any answer."""
    from tasks.inference.samples import bare_question

    return [
        {
            "sample_id": sample.sample_id,
            "turn": turn,
            "chip_id": sample.chip_id,
            "sensor": sample.sensor,
            "modality": sample.modality,
            "question_type": sample.question_types[turn],
            "question": bare_question(question),
            "annotation": truth,
        }
        for sample in samples
        for turn, (question, truth) in enumerate(sample.turns)
    ]


def predict(samples: Sequence["Sample"], checkpoint: Path, params: EvaluateParams) -> list[Row]:
    """Both arms' answers to every question, as rows of `PREDICTIONS` but for the majority and the marks."""
    import torch

    from tasks.inference.answer import Answerer, Question
    from tasks.inference.pixels import ChipReader

    if params.threads:
        torch.set_num_threads(params.threads)
    answerer = Answerer(checkpoint, params.device)
    config = answerer.model.config
    chips = ChipReader(answerer.normalise, config.image_size, config.max_tiles)
    rows = questions_of(samples)
    questions: list[Question] = []
    for sample in samples:
        images = tuple(chips.images(sample))
        for turn, (question, _) in enumerate(sample.turns):
            questions.append(Question(images, (*sample.turns[:turn], (question, ""))))
    answers = answerer.ask(questions, params.batch, params.max_new_tokens)
    blanks = answerer.ask(questions, params.batch, params.max_new_tokens, blank=True)
    for row, asked, answer, blank in zip(rows, questions, answers, blanks, strict=True):
        row |= {"prompt": asked.prompt, "answer": answer, "blank_answer": blank}
    return rows


def mark(rows: Iterable[Row], majority: Majority) -> list[Row]:
    """Add the majority's answer, and for each arm whether it is correct."""
    marked = []
    for row in rows:
        guess = majority.answer(row["question_type"], row["question"])
        answers = {"correct": row["answer"], "blank_correct": row["blank_answer"], "majority_correct": guess}
        marks = {name: is_correct(answer, row["annotation"], row["question_type"]) for name, answer in answers.items()}
        marked.append({**row, "majority_answer": guess, **marks})
    return marked


def interval(rows: Sequence[Row], count: int, seed: int) -> list[float]:
    """95 % interval of the accuracy, resampling whole chips: the questions about one chip are not
    independent.
    """
    chips: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        chips[row["chip_id"]][0] += row["correct"]
        chips[row["chip_id"]][1] += 1
    told = np.array([chips[chip] for chip in sorted(chips)])
    drawn = np.random.default_rng(seed).integers(0, len(told), (count, len(told)))
    sums = told[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return [round(float(low), 4), round(float(high), 4)]


def score(rows: Sequence[Row], params: EvaluateParams) -> dict[str, Any]:
    """Accuracy beside its baselines, its interval, and an alarm if the model always gives one answer."""
    answers = {normalise(row["answer"]) for row in rows}
    truths = {normalise(row["annotation"]) for row in rows}
    return {
        "n": len(rows),
        "chips": len({row["chip_id"] for row in rows}),
        **{name: round(sum(row[column] for row in rows) / len(rows), 4) for name, column in ARMS.items()},
        "ci95": interval(rows, params.bootstrap, params.seed),
        "constant_answer": len(answers) == 1 and len(truths) > 1,
    }


def score_all(rows: Sequence[Row], params: EvaluateParams) -> dict[str, Any]:
    """Scores of all questions together, and by question type, modality and sensor."""

    def by(column: str) -> dict[str, Any]:
        names = sorted({row[column] for row in rows})
        return {name: score([row for row in rows if row[column] == name], params) for name in names}

    return {
        "overall": score(rows, params),
        "by_type": by("question_type"),
        "by_modality": by("modality"),
        "by_sensor": by("sensor"),
    }


def write_csv(scores: Mapping[str, Any], path: Path) -> None:
    """Scores as a flat table, one row a group: what `dvc plots` draws."""
    groups: list[tuple[str, str, Mapping[str, Any]]] = [("overall", "overall", scores["overall"])]
    for group in ("by_type", "by_modality", "by_sensor"):
        groups += [(group.removeprefix("by_"), name, told) for name, told in scores[group].items()]
    with atomic(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["group", "name", "n", *ARMS, "low", "high"])
        for group, name, told in groups:
            writer.writerow([group, name, told["n"], *(told[arm] for arm in ARMS), *told["ci95"]])


def beaten(scores: Mapping[str, Mapping[str, Any]], better: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    """Names of the groups for which `better` holds."""
    return [name for name, told in scores.items() if better(told)]


def run() -> Summary:
    """Answer and score the test questions of the last stage's mixture."""
    from tasks.inference.samples import bare_question, read_samples

    params = load(EvaluateParams, "evaluate")
    samples = list(read_samples(paths.mixture("3") / "test.parquet"))
    if not samples:
        raise EmptyStageError("the mixture of stage 3 has no test sample; see data/split and split.test")
    majority = Majority(
        (question_type, bare_question(question), answer)
        for sample in read_samples(paths.mixture("3") / "train.parquet")
        for question_type, (question, answer) in zip(sample.question_types, sample.turns, strict=True)
    )
    rows = mark(predict(samples, paths.train("3"), params), majority)
    scores = score_all(rows, params)
    folder = paths.evaluate()
    tables.write_rows(rows, PREDICTIONS, folder / "predictions.parquet")
    write_json(folder / "scores.json", scores)
    write_csv(scores, folder / "scores.csv")
    return {
        "questions": len(rows),
        "chips": scores["overall"]["chips"],
        **{arm: scores["overall"][arm] for arm in ARMS},
        "types_above_both_baselines": len(
            beaten(scores["by_type"], lambda told: told["accuracy"] > max(told["no_image"], told["majority"]))
        ),
        "types_with_a_constant_answer": len(beaten(scores["by_type"], lambda told: bool(told["constant_answer"]))),
    }


if __name__ == "__main__":
    main("evaluate", run)
