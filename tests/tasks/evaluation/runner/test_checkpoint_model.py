"""A checkpoint of ours as the model of a run; everything in this process."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tasks.evaluation.datasets.images import npy
from tasks.evaluation.datasets.samples import BenchmarkImageRef, BenchmarkSample
from tasks.evaluation.metrics.score import ScoringSettings, score_file
from tasks.evaluation.runner.checkpoint_model import Checkpoint, CheckpointSettings
from tasks.evaluation.runner.imported import BenchmarkImage, ImportedBenchmark
from tasks.evaluation.runner.questions import BenchmarkQuestion, EvaluationJob, RunError
from tasks.evaluation.runner.run import check, run
from tasks.vlm.controls import CONTROLS
from tasks.vlm.world import World
from tests.tasks.evaluation.datasets.files import encoded
from tests.tasks.evaluation.runner.runs import image_of, written

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def picture(seed=0, size=(20, 20)):
    return image_of(encoded(".png", seed, size=size), "[hr_rgb_0.5]")


def sample(id, question, images, reference="yes", kind="class", **more):
    return BenchmarkSample(id, tuple(images), question, (reference,), kind, group=id, **more)


def ran(folder, name, samples, model, controls=(), **settings):
    """(predictions, rejects, run.json) of a benchmark of these samples."""
    source = ImportedBenchmark(name, written(folder, name, samples))
    asked = Checkpoint(model, CheckpointSettings(max_new_tokens=24, **settings))
    job = EvaluationJob(asked, "tiny", source, controls)
    check(job)
    record = run(job, folder / "out", World())
    return pl.read_parquet(folder / "out/predictions.parquet"), pl.read_parquet(folder / "out/rejects.parquet"), record


def test_questions_that_cannot_be_asked_are_named_counted_and_scored_as_wrong(tmp_path: Path, pictures_model: Path):
    missing = BenchmarkImageRef("gone.png", None, "png", "[hr_rgb_0.5]", width=9, height=9)
    samples = [
        sample("good", "[hr_rgb_0.5] <image>\nIs it rural?", [picture()]),
        sample("bare", "Is it rural?", [picture()]),  # one image that no slot waits for stands before the question
        sample("slots", "<image> <image>\nIs it rural?", [picture()]),
        sample("two", "Is it rural?", [picture(), picture(1)]),
        sample("long", "<image>\n" + "Is it rural? " * 400, [picture()]),
        sample("control", "<image>\nIs it <|end|> rural?", [picture()]),
        sample("gone", "<image>\nIs it rural?", [missing]),
        sample("tag", "<image>\nIs it rural?", [image_of(encoded(".png"), "[odd]")]),
    ]
    table, rejects, record = ran(tmp_path, "rsvqa-lr", samples, pictures_model, ["no-image"])
    reasons = dict(zip(table["id"], table["rejected"], strict=True))
    assert reasons == {
        "good": None, "bare": None, "slots": "slots_mismatch", "two": "slots_mismatch", "long": "too_long",
        "control": "unaskable", "gone": "unreadable_image", "tag": "unknown_sensor",
    }  # fmt: skip
    assert record["n"] == 8 and record["rejected"]["slots_mismatch"] == 2 and sum(record["rejected"].values()) == 6
    assert table.filter(pl.col("rejected").is_not_null())["answer"].to_list() == [""] * 6
    assert len(rejects) == 12 and "the model takes 512" in "".join(rejects["detail"])
    scores = score_file(tmp_path / "out/predictions.parquet", "vqa", ScoringSettings(form="internvl"))
    assert scores["n"] == 8 and scores["input"]["empty_answers"] == 6 and "unknown_fields" not in scores["input"]


def test_sensors_without_statistics_are_named_and_can_be_given_others(tmp_path: Path, tiny_checkpoint: Path):
    samples = [
        sample("a", "[hr_rgb_0.5] <image>\nWhat is it?", [picture()]),
        sample("b", "[s1_vh_1] <image>\nWhat is it?", [image_of(encoded(".png", bands=1), "[s1_vh_1]")]),
    ]
    with pytest.raises(RunError, match=r"hr-rgb8 \(B, G, R\); sar8 \(AMP\).*--normalise-from"):
        ran(tmp_path, "rsvqa-lr", samples, tiny_checkpoint)
    _, _, record = ran(tmp_path, "rsvqa-lr", samples, tiny_checkpoint, normalise_from="published")
    assert record["rejected"] == {} and record["asked"]["normalisation"] == "published"


@pytest.mark.parametrize("checkpoint", ["tiny_checkpoint", "tiny_moe_checkpoint"])
def test_many_bands_are_asked_of_a_model_that_knows_them_of_either_kind(
    tmp_path: Path, request: pytest.FixtureRequest, checkpoint: str
):
    rng = np.random.default_rng(0)
    images = [image_of(npy(rng.uniform(0, 0.3, (10, 32, 32))), "[s1_vh_10]", BANDS) for _ in range(3)]
    samples = [sample(str(n), "[s1_vh_10] <image>\nWhich?", [image], "Water") for n, image in enumerate(images)]
    controls = [name for name in CONTROLS if name != "images-reversed"]  # of samples with several images
    table, rejects, record = ran(tmp_path, "so2sat-lcz42", samples, request.getfixturevalue(checkpoint), controls)
    assert len(rejects) == 0 and all(control["n"] == 3 for control in record["controls"].values())
    assert table["annotation"].to_list() == ["Water"] * 3


def test_a_control_that_no_sample_can_have_leaves_no_column(tmp_path: Path, pictures_model: Path):
    samples = [sample("a", "<image>\nIs it rural?", [picture()])]
    table, rejects, record = ran(tmp_path, "rsvqa-lr", samples, pictures_model, ["other-image"])
    assert "other_image_answer" not in table.columns and rejects["reason"].to_list() == ["no_other_image"]
    assert record["controls"]["other-image"] == {"n": 0, "rejected": {"no_other_image": 1}}


def test_boxes_of_questions_and_truths_stand_in_the_form_the_model_was_trained_on(tmp_path: Path, pictures_model: Path):
    box = (0.25, 0.333, 0.1, 0.2, 0.0)
    asked = "[identify] [hr_rgb_0.5] <image>\nwhat is in <box>[[20, 23, 30, 43, 0]]</box>"
    samples = [sample("a", asked, [picture()], "[[20, 23, 30, 43, 0]]", "boxes", boxes=(box,), size_group="small")]
    table, _, record = ran(tmp_path, "dior-rsvg", samples, pictures_model)
    assert record["boxes"] == "internvl" and "[[200, 230, 300, 430]]" in table["prompt"][0]
    assert table["question"][0] == asked
    assert table["gt_bbox"][0] == "[[200, 233, 300, 433]]" == table["references"][0][0]
    record = score_file(tmp_path / "out/predictions.parquet", "detection", ScoringSettings(form="internvl"))
    assert record["n"] == 1 and "by_size" in record
    assert json.loads(table["extracted"][0]) == []


def test_an_answer_may_be_as_long_as_the_question_leaves_room_for(tmp_path: Path, pictures_model: Path):
    model = Checkpoint(pictures_model, CheckpointSettings(max_new_tokens=10_000))
    with torch.no_grad():
        model.answerer.model.lm_head.weight[model.answerer.model.config.end_token_id] = 0  # it never ends
    asked = BenchmarkQuestion(0, (("<image>\nSay much.", ""),), (BenchmarkImage(picture(), tmp_path, "aid"),))
    (answer,) = model.answer([asked])
    assert answer.stop == "length" and answer.text
    # The first token comes with the question; the last step only says whether there would be more.
    assert model.usage.steps == 512 - (answer.prompt_tokens or 0)


def test_without_pixels_each_question_gets_the_answer_it_gets_alone_however_many_are_alike(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    rng = np.random.default_rng(0)
    images = [
        BenchmarkImage(image_of(npy(rng.uniform(0, 0.3, (len(bands), 64, side))), "", bands), tmp_path, "so2sat-lcz42")
        for bands, side in ((BANDS[:3], 64), (BANDS, 64), (BANDS[:3], 200)) * 2
    ]
    texts = [f"<image>\n{text}" for text in ("What covers most of this image?", "Where does the forest lie?")]
    asked = [
        BenchmarkQuestion(number, ((text, ""),), (image,), control="no-image")
        for number, (image, text) in enumerate((image, text) for image in images for text in texts)
    ]
    model = Checkpoint(tiny_checkpoint, CheckpointSettings(slots=1, max_new_tokens=12))
    alone = [next(iter(model.answer([question]))) for question in asked]
    together = Checkpoint(tiny_checkpoint, CheckpointSettings(slots=4, max_new_tokens=12))
    said = sorted(together.answer(asked), key=lambda answer: answer.number)
    assert said == alone and len({answer.text for answer in said}) > 1
    # Two images of each kind are one to a model that sees neither.
    assert together.usage.decoded * 2 == model.usage.decoded
