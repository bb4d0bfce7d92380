"""Series in training and evaluation: several images of one sample, of one sensor and of two, and their controls."""

import contextlib
import shutil
from pathlib import Path

import pytest
import torch

from models.parts.image import batch_images
from models.parts.prompt import IGNORED
from tasks import blind, evaluate, guesses, mixture, series, stats, subtasks, tokenizer, train
from tasks.core import paths, tables
from tasks.core.errors import UnaskableError
from tasks.core.stage import read_json
from tasks.evaluation.runner.checkpoint_model import Checkpoint, CheckpointSettings
from tasks.evaluation.runner.held_out import HeldOut
from tasks.evaluation.runner.run import question_as
from tasks.vlm.chip_reader import ChipReader
from tasks.vlm.samples import encode_samples, read_samples
from tests.fixtures.series_dataset import write_series_dataset

SHOWN = {
    "weights": {"ms": {"sentinel-2": 1}, "sar": {"sentinel-1": 1}},
    "series": {"ms": {"dates": 1, "sensors": 1}, "sar": {"dates": 1}},
}
CONTROLS = ["no-image", "other-image", "images-reversed"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with series, and a model that was trained on it for two steps."""
    path = tmp_path_factory.mktemp("series-models")
    short = {"batch": 2, "checkpoint_every": 2, "log_every": 1, "eval_every": 2, "eval_samples": 4}
    asked = {"controls": CONTROLS, "bootstrap": 100, "max_new_tokens": 4}
    write_series_dataset(
        path,
        mixture={"stage1": SHOWN, "stage3": SHOWN},
        train={"common": {**short, "max_length": 4096, "window": 4096}, "stage1": {"max_steps": 2}},
        evaluate=asked,
    )
    with contextlib.chdir(path):
        series.run()
        for sensor in ("sentinel-2", "sentinel-1"):
            stats.run(sensor)
        tokenizer.run()
        for stage in ("1", "3"):
            mixture.run(stage)
        train.run("1")
    return path


@pytest.mark.timeout(600)
def test_training_takes_samples_of_two_dates_and_of_two_sensors(trained: Path) -> None:
    with contextlib.chdir(trained):
        samples = list(read_samples(paths.mixture("1") / "train.parquet"))
        rejected = tables.read(paths.train("1") / "rejected.parquet").to_pylist()
        log = (paths.train("1") / "log.csv").read_text().splitlines()
        vocabulary = (paths.train("1") / "tokenizer.json").read_text()
        dealt, last = subtasks.run(), len(read_samples(paths.mixture("3") / "train.parquet"))
    kinds = {tuple(sorted({image.sensor for image in one.images})) for one in samples if len(one.images) > 1}
    assert kinds == {("sentinel-1",), ("sentinel-1", "sentinel-2")}
    assert not rejected and len(log) >= 3  # a header and two steps of one pack that holds them all
    assert all(f'"{tag}"' in vocabulary for tag in ("[s1_vh_temp_10]", "[s2_ms_temp_10]", "[l8_rgb_temp_30]"))
    assert isinstance(dealt["train"], dict) and dealt["train"]["rows"] == last


@pytest.mark.timeout(600)
def test_held_out_series_are_question_types_of_their_own_beside_all_controls(trained: Path) -> None:
    with contextlib.chdir(trained):
        shutil.copytree(paths.train("1"), paths.train("3"))
        blind.run()
        guesses.run()
        evaluate.run("earthdial")
        scores = read_json(paths.evaluate("earthdial") / "scores.json")
        run = read_json(paths.evaluate("earthdial") / "run.json")
    own = {name: score for name, score in scores["by_type"].items() if name.startswith("series-")}
    assert own and not any(score["n"] == 0 for score in own.values())
    for score in own.values():
        assert {"accuracy", "majority", "no_image", "images_reversed", "ci95"} <= set(score)
    # Two windows of two dates are held out, so that each has another's images; of single images none has an order.
    assert "other_image" in own["series-change"]
    single = [score for name, score in scores["by_type"].items() if not name.startswith("series-")]
    assert single and not any("images_reversed" in score for score in [*single, scores["overall"]])
    assert run["controls"]["images-reversed"]["rejected"] == {"one_image": sum(score["n"] for score in single)}


def test_a_series_is_asked_with_the_tokens_and_the_pixels_that_it_would_be_trained_with(trained: Path) -> None:
    with contextlib.chdir(trained):
        model, source = Checkpoint(paths.train("1"), CheckpointSettings()), HeldOut()
        answerer = model.answerer
        config = answerer.model.config
        chips = ChipReader(answerer.normalise, config.image_size, config.max_tiles, cache_mb=64)
        samples = {one.sample_id: one for one in read_samples(source.path) if len(one.images) > 1}
        size = (config.tokens_per_tile, 4096, config.image_size, config.max_tiles)
        encoded = {
            one.sample_id: tokens for one, tokens in encode_samples([*samples.values()], answerer.tokenizer, *size)[0]
        }
        asked = [place for place, row in enumerate(source.rows()) if row["id"].rpartition(" turn ")[0] in samples]
        assert len(asked) > 5 and encoded.keys() == samples.keys()
        for place in asked:
            name = source.rows()[place]["id"].rpartition(" turn ")[0]
            question = source.question(place)
            prompt = list(model._encoded(question).ids[0])
            answer = [label for label in encoded[name].labels if label != IGNORED]
            assert prompt + answer == encoded[name].ids
            trained_on, shown = (batch_images(tiles) for tiles in (chips.images(samples[name]), model.tiles(question)))
            assert all(torch.equal(shown[key], trained_on[key]) for key in trained_on)
            assert trained_on["days"].unique().numel() == 2  # of two dates


def test_the_control_of_order_shows_the_same_images_with_the_last_one_first(trained: Path) -> None:
    with contextlib.chdir(trained):
        source = HeldOut()
        places = range(len(source))
        several = next(place for place in places if len(source.question(place).images) > 1)
        alone = next(place for place in places if len(source.question(place).images) == 1)
        turned = question_as(source, several, "images-reversed", None)
        assert turned.images == source.question(several).images[::-1]
        assert turned.turns == source.question(several).turns
        with pytest.raises(UnaskableError, match="an image alone has no order"):
            question_as(source, alone, "images-reversed", None)
