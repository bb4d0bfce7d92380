"""The published protocol, bug for bug, against the figures of the spec's rerun (section 5.2)."""

import json
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Polygon

from benchmarks.published_figures import PUBLISHED, UHI, UHI_ROWS, Published, tolerance
from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.legacy import recall
from tasks.evaluation.metrics.predictions import read
from tasks.evaluation.metrics.score import ScoringSettings, score, score_file
from tasks.evaluation.metrics.tokens import recall_tokens, word_tokens
from tests.conftest import ROOT

SHARED = ROOT.parent / "shared/predictions"
LEGACY = ScoringSettings("legacy")
SHIPPED = [known for known in PUBLISHED if known.name != UHI]
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the published answers are not beside the checkout")


def _file(tmp_path: Path, *rows: dict) -> Path:
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_one_published_answer_about_heat_islands_scores_52_where_a_third_is_right(tmp_path: Path) -> None:
    path = _file(tmp_path, *UHI_ROWS)
    scores = score_file(path, "classification", LEGACY)
    assert (scores["n"], round(scores["accuracy"], 2)) == (216, 51.96)
    comma = score_file(_file(tmp_path, *(row | {"answer": ","} for row in UHI_ROWS)), "classification", LEGACY)
    assert round(comma["accuracy"], 1) == 19.7
    perfect = [row | {"answer": row["annotation"]} for row in UHI_ROWS]
    assert round(score_file(_file(tmp_path, *perfect), "classification", LEGACY)["accuracy"], 1) == 96.2
    honest = score_file(_file(tmp_path, *UHI_ROWS), "classification", ScoringSettings("honest", draws=50))
    assert round(honest["accuracy"], 1) == 33.3
    assert honest["controls"]["answers"]["constant_answer_alarm"] is True


@needs_shared
@pytest.mark.parametrize("known", SHIPPED, ids=[known.name for known in SHIPPED])
def test_the_published_answers_give_the_published_figures_in_every_bucket(known: Published) -> None:
    scores = score(read(SHARED / f"{known.name}.jsonl", known.name.split("/")[0]), LEGACY)
    assert scores["n"] == known.n
    for bucket, figures in known.rerun.items():
        group = scores[bucket] if bucket else scores
        for metric, figure in figures.items():
            assert group[metric] == pytest.approx(float(figure), abs=tolerance(figure)), (bucket, metric)


@needs_shared
def test_counting_is_left_out_of_the_published_accuracy_of_questions() -> None:
    assert score_file(SHARED / "vqa/RSVQA_LR.jsonl", "vqa", LEGACY)["excluded"] == {"count": 2947}


def test_naming_every_answer_is_perfect_under_the_published_recall(tmp_path: Path) -> None:
    rows = [{"question": "?", "answer": "yes,no", "annotation": truth} for truth in ("yes", "no")]
    scores = score_file(_file(tmp_path, *rows), "classification", LEGACY)
    assert scores["accuracy"] == 100
    assert scores["controls"]["every_class"]["accuracy"] == 100


def test_commas_and_repetitions_of_the_truth_count_as_tokens() -> None:
    assert recall("urbanization, bareland", "urbanization, bareland, bareland") == 3 / 5
    assert recall(",", "a, b") == 1 / 3
    assert recall("a", "") == 0


@pytest.mark.parametrize("word", ["cannot", "gonna", "yes", "12", "fagus_sylvatica", "gottacannot", "forest", "lemme"])
def test_the_short_way_to_a_token_is_the_tokenizers(word: str) -> None:
    assert recall_tokens(word) == word_tokens(word)


def test_a_period_within_a_text_ends_a_sentence_and_is_a_word() -> None:
    assert word_tokens("A road. Two cars.") == ("A", "road", ".", "Two", "cars", ".")


def test_a_box_of_four_numbers_is_counted_and_matches_nothing(tmp_path: Path) -> None:
    row = {"answer": "[[0, 0, 10, 10]][[0, 0, 10, 10, 0]]", "gt_bbox": "[[0, 0, 10, 10, 0]]", "size_group": "small"}
    assert score_file(_file(tmp_path, row), "detection", LEGACY)["precision@0.5"] == 50


def test_the_angle_of_a_predicted_change_box_is_ignored(tmp_path: Path) -> None:
    row = {"answer": "[[0, 0, 40, 10, 90]]", "caption0": "[[0, 0, 40, 10, 0]]", "caption1": ""}
    assert score_file(_file(tmp_path, row), "change", LEGACY)["precision@0.25"] == 100


def test_two_boxes_may_claim_the_same_truth(tmp_path: Path) -> None:
    box = "[[0, 0, 10, 10, 0]]"
    row = {"answer": box * 2, "gt_bbox": box, "size_group": "small"}
    path = _file(tmp_path, row)
    assert score_file(path, "detection", LEGACY)["precision@0.5"] == 100
    assert score_file(path, "detection", ScoringSettings("honest"))["precision@0.5"] == 50


def test_grounding_skips_images_with_fifty_boxes_and_scores_the_text_without_boxes(tmp_path: Path) -> None:
    box = "[[0, 0, 10, 10, 0]]"
    few = {"answer": f"<ref>a car</ref><box>{box}</box>", "groundtruth": f"a car {box}", "obj_ids": box}
    many = {"answer": "nothing [[50, 50, 60, 60, 0]]", "groundtruth": f"cars {box * 50}", "obj_ids": box * 50}
    scores = score_file(_file(tmp_path, few, many), "grounding", LEGACY)
    assert (scores["n"], scores["precision@0.5"]) == (1, 100)
    assert (scores["description"]["n"], scores["description"]["rouge1"]) == (1, 100)


def test_a_second_caption_that_is_empty_leaves_the_first_alone_in_change_files_only(tmp_path: Path) -> None:
    row = {"answer": "a new road was built", "caption0": "a new road was built", "caption1": "", "caption2": ""}
    path = _file(tmp_path, row)
    assert score_file(path, "change", LEGACY)["rouge1"] == 100
    assert score_file(path, "captioning", LEGACY)["rouge1"] == pytest.approx(100 / 3, abs=1e-3)


def test_a_published_grounding_has_its_boxes_in_a_list_of_texts(tmp_path: Path) -> None:
    row = {
        "answer": "In the satellite image, there are two gray small cars [[51, 96, 53, 100, 2], [85, 64, 89, 64, 90]].",
        "groundtruth": "In the satellite image, there is  <ref>1 small car </ref> <box>[[[51, 96, 53, 100, 2]]]</box> "
        "located at bottom,  <ref>1 small car </ref> <box>[[[12, -1, 14, 4, 2]]]</box> located at top left.",
        "obj_ids": json.dumps(["[[51, 96, 53, 100, 2]]", "[[12, -1, 14, 4, 2]]"]),
        "size_group": json.dumps(["small", "small"]),
    }
    path = _file(tmp_path, row)
    legacy, honest = (score_file(path, "grounding", ScoringSettings(name)) for name in ("legacy", "honest"))
    assert (legacy["precision@0.5"], honest["precision@0.5"], honest["recall@0.5"]) == (50, 50, 50)
    assert legacy["description"]["n"] == 1 and legacy["description"]["rouge1"] > 40


def test_ids_that_are_no_boxes_leave_a_groundings_boxes_to_its_text(tmp_path: Path) -> None:
    box = "[[0, 0, 10, 10, 0]]"
    path = _file(tmp_path, {"answer": f"a car {box}", "groundtruth": f"a car {box}", "obj_ids": [1, 2]})
    for name in ("legacy", "honest"):
        assert score_file(path, "grounding", ScoringSettings(name))["precision@0.5"] == 100
    bare = _file(tmp_path, {"answer": f"a car {box}", "groundtruth": "a car", "obj_ids": [1, 2]})
    with pytest.raises(PredictionsError, match="no row has a true box"):
        score_file(bare, "grounding", LEGACY)


def test_thousands_of_boxes_beside_thousands_are_overlapped_a_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [f"[[{x}, {y}, {x + 10}, {y + 10}, {x}]]" for x in range(0, 90, 7) for y in range(0, 90, 7)]
    rows = [{"answer": "".join(boxes[part::3]), "gt_bbox": "".join(boxes[part::2])} for part in range(2)]
    whole = score_file(_file(tmp_path, *rows), "detection", LEGACY)
    monkeypatch.setattr("tasks.evaluation.metrics.legacy.MAX_PAIRS", 100)
    assert score_file(_file(tmp_path, *rows), "detection", LEGACY) == whole
    assert 0 < whole["precision@0.5"] < 100


def test_a_coordinate_of_thousands_of_digits_is_a_wrong_box(tmp_path: Path) -> None:
    row = {"answer": f"[[{'9' * 5000}, 0, 1, 1, 0]][[0, 0, 0000000000010, 10, 0]]", "gt_bbox": "[[0, 0, 10, 10, 0]]"}
    assert score_file(_file(tmp_path, row), "detection", LEGACY)["precision@0.5"] == 50


@pytest.mark.parametrize(
    ("answer", "truth"),
    [([45, 18, 49, 38, 30], [46, 18, 48, 38, 30]), ([22, 58, 28, 64, 30], [23, 56, 27, 65, 30])],
)
def test_a_box_exactly_at_the_threshold_is_decided_by_the_arithmetic_of_the_reference(
    answer: list[int], truth: list[int], tmp_path: Path
) -> None:
    def turned(box: list[int]) -> Polygon:
        rectangle = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
        middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        cosine, sine = np.cos(np.radians(box[4])), np.sin(np.radians(box[4]))
        return Polygon(np.dot(rectangle - middle, np.array([[cosine, -sine], [sine, cosine]])) + middle)

    one, other = turned(answer), turned(truth)
    decided = one.intersection(other).area / one.union(other).area >= 0.5
    row = {"answer": f"[{answer}]", "gt_bbox": f"[{truth}]", "size_group": "small"}
    assert score_file(_file(tmp_path, row), "detection", LEGACY)["precision@0.5"] == 100 * decided
