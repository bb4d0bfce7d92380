"""tasks/evaluate.py: marks, baselines, intervals and alarms; pure functions, no model."""

import pytest

from tasks import evaluate
from tasks.evaluate import EvaluateParams, Majority

PARAMS = EvaluateParams(device="cpu", threads=1, batch=8, max_new_tokens=8, bootstrap=200, seed=0)


def row(chip: int, truth: str, answer: str, blank: str = "no", kind: str = "presence") -> evaluate.Row:
    """A prediction without marks."""
    return {
        "chip_id": f"chip-{chip}", "sensor": "sentinel-2", "modality": "ms", "question_type": kind,
        "question": "Is there water?", "annotation": truth, "answer": answer, "blank_answer": blank,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "truth", "kind", "right"),
    [
        ("Yes.", "yes", "presence", True),
        ("  open  LAND ", "open land", "dominant", True),
        ("yes and no", "yes", "presence", False),
        ("", "no", "presence", False),
        ("water, forest", "forest, water", "list", True),
        ("water", "forest, water", "list", False),
        ("water, forest, urban", "forest, water", "list", False),
        ("water, forest", "forest, water", "dominant", False),
    ],
)
def test_answers_are_compared_after_normalising_and_lists_as_sets(
    answer: str, truth: str, kind: str, right: bool
) -> None:
    assert evaluate.is_correct(answer, truth, kind) is right


def test_the_majority_is_of_the_same_question_or_else_of_its_type() -> None:
    majority = Majority(
        [("presence", "Is there water?", "No"), ("presence", "Is there water?", "no.")]
        + [("presence", "Is there wood?", "yes")] * 3
        + [("share", "How much?", "b"), ("share", "How much?", "a")]
    )
    assert majority.answer("presence", "Is there water?") == "no"
    assert majority.answer("presence", "Is there snow?") == "yes"
    assert majority.answer("share", "How much?") == "a"
    assert majority.answer("count", "How many?") == ""


def test_perfect_answers_score_one_and_are_above_both_baselines() -> None:
    rows = evaluate.mark([row(n, truth, truth) for n, truth in enumerate(["yes", "no"] * 10)], Majority([]))
    scores = evaluate.score_all(rows, PARAMS)
    assert scores["overall"]["accuracy"] == 1
    assert scores["overall"]["no_image"] == 0.5
    assert scores["overall"]["ci95"] == [1, 1]
    assert scores["by_type"]["presence"]["n"] == 20
    assert not scores["overall"]["constant_answer"]


def test_a_constant_answer_raises_the_alarm_unless_it_is_the_only_truth() -> None:
    always = evaluate.mark([row(n, truth, "yes") for n, truth in enumerate(["yes", "no"])], Majority([]))
    assert evaluate.score(always, PARAMS)["constant_answer"]
    assert not evaluate.score(always[:1], PARAMS)["constant_answer"]


def test_the_interval_is_wider_when_a_chip_s_questions_stand_and_fall_together() -> None:
    def width(chips: list[int]) -> float:
        rows = [row(chip, "yes", "yes" if n < 20 else "no") for n, chip in enumerate(chips)]
        low, high = evaluate.interval(evaluate.mark(rows, Majority([])), 500, 0)
        return high - low

    assert width([n // 10 for n in range(40)]) > 1.5 * width(list(range(40)))


def test_the_flat_table_has_one_row_a_group() -> None:
    rows = evaluate.mark([row(0, "yes", "yes"), row(1, "a", "b", kind="share")], Majority([]))
    scores = evaluate.score_all(rows, PARAMS)
    assert set(scores) == {"overall", "by_type", "by_modality", "by_sensor"}
    assert set(scores["by_type"]) == {"presence", "share"}
