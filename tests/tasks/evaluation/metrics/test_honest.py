"""What the honest protocol promises: the truth scores 100 everywhere, tricks do not, and controls stand beside."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.evaluation.metrics.score import ScoringSettings, score_file

FAST = ScoringSettings(draws=100)
NOT_METRICS = {"n", "images", "controls", "input", "confusion", "as_published", "calibration", "rule", "nothing_found"}
BOXES = ["[[0, 0, 10, 10, 0]]", "[[20, 30, 40, 60, 30]][[50, 50, 90, 70, 120]]", "[[5, 5, 5, 9, 0]]", "[]"]
CAPTIONS = [
    "a road .",
    "many planes are parked near a large building in the airport .",
    "ships",
    "no change",
    "…a tree…",
]
CLASSES = ["Forest", "Dense Residential", "Populus spec.", "Bare Land"]


def _perfect(task: str) -> list[dict[str, Any]]:
    pick = random.Random(7)
    if task == "classification":
        return [{"annotation": name, "answer": name} for name in pick.choices(CLASSES, k=40)]
    if task == "multi-label":
        lists = [", ".join(pick.sample(CLASSES, pick.randint(1, 3))) for _ in range(40)]
        return [{"annotation": text, "answer": ", ".join(reversed(text.split(", ")))} for text in lists]
    if task == "vqa":
        truths = {"presence": ["yes", "no"], "count": ["0", "12", "1,000"], "list": ["a, b", "b"], "damage": DAMAGE}
        kinds = [pick.choice(list(truths)) for _ in range(80)]
        rows = [{"vqa_type": kind, "annotation": pick.choice(truths[kind])} for kind in kinds]
        return [row | {"answer": row["annotation"]} for row in rows]
    if task == "detection":
        rows = [{"gt_bbox": text, "answer": text} for text in BOXES * 3]
        return [row | {"size_group": pick.choice(["small", "large"])} for row in rows]
    if task == "grounding":
        return [{"groundtruth": f"a car {box}", "obj_ids": box, "answer": f"a car <box>{box}</box>"} for box in BOXES]
    if task == "region_captioning":
        return [{"annotation": text, "answer": text, "size_group": "small"} for text in CAPTIONS]
    rows = []
    for _ in range(20):
        references = pick.sample(CAPTIONS, 4)
        rows.append(
            {f"caption{number}": text for number, text in enumerate([*references, ""])} | {"answer": references[0]}
        )
    return rows


DAMAGE = ["no damage", "minor damage", "major damage", "destroyed"]
TASKS = {name: name for name in ("classification", "vqa", "detection", "grounding", "captioning", "region_captioning")}
TASKS |= {"multi-label": "classification", "change": "change", "change boxes": "change", "change classes": "change"}


def _rows(kind: str) -> list[dict[str, Any]]:
    if kind == "change boxes":
        return [{"caption0": box, "caption1": "", "answer": box} for box in BOXES[:3]]
    if kind == "change classes":
        return [{"caption0": level, "caption1": "", "answer": level} for level in DAMAGE * 3]
    return _perfect("captioning" if kind == "change" else kind)


def _metrics(scores: dict[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in scores.items():
        if name in NOT_METRICS:
            continue
        if isinstance(value, dict):
            yield from _metrics(value, f"{path}{name}/")
        elif isinstance(value, list):
            yield from ((f"{path}{name}", edge) for edge in value)
        else:
            yield path + name, value


def _file(tmp_path: Path, rows: list[dict[str, Any]], name: str = "predictions.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", TASKS)
def test_a_perfect_file_scores_a_hundred_on_every_metric_and_interval(kind: str, tmp_path: Path) -> None:
    scores = score_file(_file(tmp_path, _rows(kind)), TASKS[kind], FAST)
    metrics = dict(_metrics(scores))
    assert len(metrics) >= 4
    assert {name: value for name, value in metrics.items() if value != pytest.approx(100)} == {}


@pytest.mark.parametrize("kind", ["classification", "multi-label", "vqa", "change classes"])
def test_naming_every_class_never_scores_a_hundred(kind: str, tmp_path: Path) -> None:
    rows = _rows(kind)
    truth = "caption0" if "caption0" in rows[0] else "annotation"
    every = ", ".join(sorted({part for row in rows for part in row[truth].split(", ")}))
    scores = score_file(_file(tmp_path, [row | {"answer": every} for row in rows]), TASKS[kind], FAST)
    whole = {name: value for name, value in scores.items() if isinstance(value, float)}
    assert whole and all(value < 90 for value in whole.values())


@pytest.mark.parametrize("kind", ["captioning", "region_captioning", "change"])
def test_a_caption_of_all_references_together_never_scores_a_hundred(kind: str, tmp_path: Path) -> None:
    rows = [row | {"answer": " ".join(CAPTIONS)} for row in _rows(kind)]
    scores = score_file(_file(tmp_path, rows), TASKS[kind], FAST)
    assert all(scores[name] < 90 for name in ("bleu1", "bleu4", "rougeL", "cider", "meteor", "exact"))


def test_a_constant_answer_sets_off_the_alarm_and_a_varied_file_does_not(tmp_path: Path) -> None:
    truths = ["urbanization, bareland", "vegetation", "water, vegetation"] * 72
    rows = [{"annotation": truth, "answer": "urbanization, bareland"} for truth in truths]
    scores = score_file(_file(tmp_path, rows), "classification", FAST)
    assert scores["controls"]["answers"]["constant_answer_alarm"] is True
    assert scores["controls"]["answers"]["entropy_bits"] == 0
    assert scores["accuracy"] == scores["controls"]["majority"]["accuracy"] == pytest.approx(100 / 3, abs=1e-3)
    varied = score_file(_file(tmp_path, _perfect("classification")), "classification", FAST)
    assert varied["controls"]["answers"]["constant_answer_alarm"] is False


def test_one_true_answer_to_every_question_is_no_alarm(tmp_path: Path) -> None:
    scores = score_file(_file(tmp_path, [{"annotation": "yes", "answer": "yes"}] * 9), "classification", FAST)
    assert scores["controls"]["answers"]["constant_answer_alarm"] is False


def test_other_arms_in_the_file_are_scored_beside(tmp_path: Path) -> None:
    rows = [row | {"no_image": "Forest", "other_image_answer": row["answer"]} for row in _perfect("classification")]
    controls = score_file(_file(tmp_path, rows), "classification", FAST)["controls"]
    assert controls["other_image"]["accuracy"] == 100
    assert controls["no_image"]["accuracy"] < 50


def test_classes_are_compared_whatever_their_spelling(tmp_path: Path) -> None:
    rows = [{"annotation": "MediumResidential", "answer": "medium residential."}]
    rows += [{"annotation": "storage_tank", "answer": "Storage Tank"}, {"annotation": "Pond", "answer": "River"}]
    scores = score_file(_file(tmp_path, rows), "classification", FAST)
    assert scores["accuracy"] == pytest.approx(200 / 3, abs=1e-3)
    assert scores["confusion"]["pond"] == {"(other)": 1}


def test_counting_is_exact_relaxed_and_by_range(tmp_path: Path) -> None:
    answers = [("100", "100"), ("100", "104"), ("100", "60"), ("100", "many"), ("-5", "\N{MINUS SIGN}5")]
    rows = [{"vqa_type": "count", "annotation": truth, "answer": answer} for truth, answer in answers]
    scores = score_file(_file(tmp_path, rows), "vqa", FAST)["by_type"]["count"]
    assert (scores["accuracy"], scores["relaxed_accuracy"], scores["range_accuracy"]) == (40, 60, 60)


def test_levels_of_damage_are_near_or_far(tmp_path: Path) -> None:
    rows = [{"vqa_type": "damage", "annotation": level, "answer": "minor damage"} for level in DAMAGE]
    scores = score_file(_file(tmp_path, rows), "vqa", FAST)["by_type"]["damage"]
    assert (scores["accuracy"], scores["within_one"]) == (25, 75)
    assert scores["closeness"] == pytest.approx(100 * (1 - 4 / 12), abs=1e-3)


def test_the_interval_draws_whole_images(tmp_path: Path) -> None:
    rows = [{"image_id": str(number // 50), "annotation": "yes", "answer": "yes"} for number in range(200)]
    for row in rows[:100]:
        row["answer"] = "no"
    by_image = score_file(_file(tmp_path, rows), "vqa", ScoringSettings(draws=500))
    assert by_image["images"] == 4
    bare = [{name: value for name, value in row.items() if name != "image_id"} for row in rows]
    by_row = score_file(_file(tmp_path, bare), "vqa", ScoringSettings(draws=500))
    low, high = by_image["ci95"]["accuracy"]
    assert high - low > 3 * (by_row["ci95"]["accuracy"][1] - by_row["ci95"]["accuracy"][0])


def test_confidence_is_calibrated_or_not_and_abstention_counted(tmp_path: Path) -> None:
    rows = [
        {"annotation": "a", "answer": "a", "confidence": 1.0},
        {"annotation": "a", "answer": "b", "confidence": 0.0},
    ]
    rows += [{"annotation": "a", "answer": "I don't know", "confidence": 0.5}] * 2
    scores = score_file(_file(tmp_path, rows), "vqa", FAST)
    assert scores["calibration"] == {"expected_error": 25.0, "brier": 12.5}
    assert scores["controls"]["abstention"] == {"rate": 50.0, "accuracy_when_answered": 50.0}


def test_confidences_of_boxes_rank_them(tmp_path: Path) -> None:
    box, wrong = "[[0, 0, 10, 10, 0]]", "[[50, 50, 60, 60, 0]]"
    rows = [{"gt_bbox": box, "answer": wrong + box, "confidences": sure} for sure in ([0.1, 0.9], [0.2, 0.8])]
    scores = score_file(_file(tmp_path, rows), "detection", FAST)
    assert (scores["ap@0.5"], scores["by_confidence"]["ap@0.5"]) == (50, 100)


def test_a_change_is_reported_or_not_and_masks_overlap(tmp_path: Path) -> None:
    rows = [
        {
            "caption0": "the scene is the same as before",
            "answer": "no change has occurred",
            "caption1": "no difference",
        },
        {"caption0": "a road was built", "answer": "there is no difference", "caption1": "a new road appears"},
    ]
    rows = [row | {"mask": [[0, 1], [1, 1]], "answer_mask": [[0, 1], [0, 0]]} for row in rows]
    scores = score_file(_file(tmp_path, rows), "change", FAST)
    assert (scores["changed"]["accuracy"], scores["changed"]["recall"]) == (50, 0)
    assert scores["masks"]["iou"] == pytest.approx(100 / 3, abs=1e-3)


def test_a_reference_that_is_a_list_is_taken_apart(tmp_path: Path) -> None:
    rows = [{"caption0": '["a road was built", "a new road"]', "caption1": "", "answer": "a new road"}] * 2
    assert score_file(_file(tmp_path, rows), "change", FAST)["exact"] == 100


def test_a_type_is_a_group_whatever_its_name(tmp_path: Path) -> None:
    rows = [{"vqa_type": name, "annotation": "a", "answer": "a"} for name in ("urban/rural", "\x00", "", "n")]
    types = score_file(_file(tmp_path, rows), "vqa", FAST)["by_type"]
    assert {name: group["n"] for name, group in types.items()} == dict.fromkeys(
        ["urban/rural", "\x00", "untyped", "n"], 1
    )


def test_yes_and_no_as_classes_are_also_scored_by_precision_and_recall_of_yes(tmp_path: Path) -> None:
    pairs = [("yes", "yes")] * 3 + [("no", "Yes")] * 2 + [("yes", "no")] + [("no", "no")] * 4
    rows = [{"annotation": truth, "answer": answer} for truth, answer in pairs]
    scores = score_file(_file(tmp_path, rows), "classification", FAST)
    assert (scores["precision"], scores["recall"]) == (60, 75)
    assert scores["f1"] == pytest.approx(200 / 3, abs=1e-3)
    assert scores["accuracy"] == 70


def test_never_saying_yes_earns_no_precision(tmp_path: Path) -> None:
    rows = [{"vqa_type": "presence", "annotation": truth, "answer": "no"} for truth in ("yes", "no")]
    scores = score_file(_file(tmp_path, rows), "vqa", FAST)["by_type"]["presence"]
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0, 0, 0)
    rows = [{"caption0": "a road was built", "caption1": "a new road", "answer": "no change"}]
    assert score_file(_file(tmp_path, rows), "change", FAST)["changed"]["precision"] == 0


def test_the_published_cider_is_within_its_own_scale(tmp_path: Path) -> None:
    rows = [{"caption0": text, "caption1": "", "answer": text} for text in CAPTIONS[:3]]
    assert 0 < score_file(_file(tmp_path, rows), "captioning", FAST)["as_published"]["cider_d"] <= 10


@pytest.mark.parametrize("damage", [DAMAGE, [level.replace(" ", "-") for level in DAMAGE]])
def test_levels_of_damage_are_a_scale_however_they_are_spelt(damage: list[str], tmp_path: Path) -> None:
    rows = [{"caption0": level, "caption1": "", "answer": damage[0]} for level in damage]
    scores = score_file(_file(tmp_path, rows), "change", FAST)["answers"]
    assert (scores["accuracy"], scores["within_one"], scores["closeness"]) == (25, 50, 50)


def test_one_image_tells_nothing_of_its_interval(tmp_path: Path) -> None:
    rows = [{"image_id": "a", "annotation": "yes", "answer": "yes"} for _ in range(9)]
    assert score_file(_file(tmp_path, rows), "vqa", FAST)["ci95"]["accuracy"] == [0, 100]
    unnamed = score_file(_file(tmp_path, [row | {"image_id": ""} for row in rows]), "vqa", FAST)
    assert "images" not in unnamed and unnamed["ci95"]["accuracy"] == [100, 100]
