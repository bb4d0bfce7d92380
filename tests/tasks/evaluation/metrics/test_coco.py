"""COCO's results and annotations: every figure is pycocotools' own."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.predictions import read
from tasks.evaluation.metrics.score import ScoringSettings, score

FAST = ScoringSettings(draws=0)
NAMES = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium",
    "ar_large",
)  # fmt: skip


def _annotated(seed: int, crowds: bool, tied: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Random boxes of three classes in 12 images of several sizes, and answers near them, many with one score."""
    rng = np.random.default_rng(seed)
    images = [{"id": int(i), "width": 640, "height": 480} for i in rng.permutation(12) + 1]
    truths, found = [], []
    for image in images:
        for _ in range(int(rng.integers(0, 9))):
            side = float(rng.choice([20, 60, 150]))
            box = [*rng.uniform(0, 300, 2).round(2).tolist(), *(side * rng.uniform(0.5, 1.5, 2)).round(2).tolist()]
            kind = int(rng.integers(1, 4))
            crowd = int(crowds and rng.random() < 0.2)
            truths.append(
                {"id": len(truths) + 1, "image_id": image["id"], "category_id": kind, "bbox": box, "iscrowd": crowd,
                 "area": box[2] * box[3]}
            )  # fmt: skip
            for _ in range(int(rng.integers(0, 4))):
                moved = (np.array(box) + rng.normal(0, side / 12, 4)).tolist()
                moved = [moved[0], moved[1], max(1.0, moved[2]), max(1.0, moved[3])]
                said = float(rng.choice([0.3, 0.5, 0.9])) if tied else float(rng.random())
                found.append({"image_id": image["id"], "category_id": int(kind), "bbox": moved, "score": said})
    kinds = [{"id": number, "name": name} for number, name in enumerate(("ship", "plane", "tank"), start=1)]
    order = rng.permutation(len(found)).tolist()
    return {"images": images, "annotations": truths, "categories": kinds}, [found[place] for place in order]


def _files(tmp_path: Path, truth: Any, found: Any) -> tuple[Path, Path]:
    results, annotations = tmp_path / "results.json", tmp_path / "instances.json"
    results.write_text(json.dumps(found))
    annotations.write_text(json.dumps(truth))
    return results, annotations


def _by_pycocotools(results: Path, annotations: Path) -> Any:
    """The twelve figures, as fractions."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(annotations))
        judge = COCOeval(known, known.loadRes(str(results)), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


@pytest.mark.parametrize(("crowds", "tied"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_figure_is_that_of_pycocotools(seed: int, crowds: bool, tied: bool, tmp_path: Path) -> None:
    truth, found = _annotated(seed, crowds, tied)
    results, annotations = _files(tmp_path, truth, found)
    judged = _by_pycocotools(results, annotations)
    scores = score(read(results, "detection", truth_path=annotations), FAST)
    ours = scores["as_published"]["coco"]
    assert [ours[name] for name in NAMES] == pytest.approx((100 * judged).tolist(), abs=1e-4)


def test_rows_with_confidences_have_the_average_precision_of_pycocotools(tmp_path: Path) -> None:
    truth, found = _annotated(3, False, False)
    for record in (*truth["annotations"], *found):
        record["category_id"] = 1
    results, annotations = _files(tmp_path, truth, found)
    judged = _by_pycocotools(results, annotations)
    rows = []
    for image in sorted(image["id"] for image in truth["images"]):
        own = [record["bbox"] for record in truth["annotations"] if record["image_id"] == image]
        said = [record for record in found if record["image_id"] == image]
        rows.append(
            {
                "id": image,
                "answer": str([one["bbox"] for one in said]),
                "gt_bbox": str(own),
                "confidences": [one["score"] for one in said],
            }
        )
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ranked = score(read(lines, "detection"), ScoringSettings(form="coco", draws=0))["by_confidence"]
    assert [ranked["ap@0.5:0.95"], ranked["ap@0.5"]] == pytest.approx((100 * judged[:2]).tolist(), abs=1e-4)


def test_captions_of_coco_are_held_against_every_reference_of_their_image(tmp_path: Path) -> None:
    truth = {
        "images": [{"id": 1}, {"id": 2}],
        "annotations": [
            {"image_id": 1, "id": 1, "caption": "a river"},
            {"image_id": 1, "id": 2, "caption": "a wide river"},
            {"image_id": 2, "id": 3, "caption": "two ships"},
        ],
    }
    results, annotations = _files(tmp_path, truth, [{"image_id": 1, "caption": "a wide river"}])
    scores = score(read(results, "captioning", truth_path=annotations), FAST)
    assert (scores["exact"], scores["n"], scores["input"]["truths_without_answer"]) == (50, 2, 1)


def test_results_of_other_images_are_counted_and_masks_refused(tmp_path: Path) -> None:
    truth, found = _annotated(0, False, False)
    results, annotations = _files(tmp_path, truth, [*found, found[0] | {"image_id": 999}])
    read_ = read(results, "detection", truth_path=annotations)
    assert read_.counts["first_answers_without_truth"] == ["999"]
    results.write_text(json.dumps([{"image_id": 1, "category_id": 1, "segmentation": [], "score": 1}]))
    with pytest.raises(PredictionsError, match="masks or keypoints"):
        read(results, "detection", truth_path=annotations)
    with pytest.raises(PredictionsError, match="is detection or captioning, not vqa"):
        read(results, "vqa", truth_path=annotations)
