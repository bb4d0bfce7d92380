"""`earthloom chat`, and what it shares with the server: the question as the model was trained on it, and boxes."""

import contextlib
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import rasterio
from safetensors.torch import load_file, save_file

from models.earthdial.continuous_batching import Usage
from models.parts.prompt import encode
from models.parts.tile_grid import count_tiles
from tasks import mixture, series, stats, tokenizer
from tasks.core import paths, tables
from tasks.core.errors import EarthloomError
from tasks.earth.sensors import SENSORS
from tasks.vlm.answerer import Answerer, Question, load_tokenizer
from tasks.vlm.chat import Conversation
from tasks.vlm.image_file import DeclaredMetadata, ImageFile, open_image
from tasks.vlm.samples import ImageRef, read_samples, tile_share
from tasks.vlm.true_colour import TrueColour
from tests.fixtures.image_files import L2A, decibel, reflectance, write
from tests.fixtures.series_dataset import write_series_dataset
from tests.fixtures.small_dataset import ROOT, write_dataset
from tests.fixtures.tiny_checkpoint import BOX_ANSWER


@pytest.fixture(scope="module")
def answerer(tiny_checkpoint: Path) -> Answerer:
    """The tiny model, loaded."""
    return Answerer(tiny_checkpoint)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Twelve bands on the ground."""
    return write(tmp_path / "scene.tif", reflectance(12), L2A)


def opened(path: Path, **declared: str) -> ImageFile:
    """The image of a file, for the tiny model."""
    return open_image(path, path.name, 112, 6, DeclaredMetadata(**declared))  # type: ignore[arg-type]


def opened_chip(ref: ImageRef, path: Path) -> ImageFile:
    """A chip as a sample shows it, by way of a file."""
    table = tables.read(Path(ref.shard), ["chip_id", "pixels"])
    chips = dict(zip(table["chip_id"].to_pylist(), table["pixels"].to_pylist(), strict=True))
    with rasterio.MemoryFile(chips[ref.chip_id]) as memory, memory.open() as dataset:
        pixels = dataset.read([dataset.descriptions.index(band) + 1 for band in ref.bands])
    return opened(write(path, pixels, list(ref.bands)), sensor=ref.sensor)


def chat(folder: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """`earthloom chat ...` in `folder`."""
    command = [sys.executable, "-m", "earthloom", "chat", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, env=environment, input=typed, capture_output=True, text=True, timeout=240, check=False
    )


def test_the_tokens_at_serving_are_those_of_training_for_every_sample(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8)
    size, tokens_per_tile, max_tiles = 28, 4, 6
    with contextlib.chdir(tmp_path):
        for sensor in SENSORS:
            stats.run(sensor)
        tokenizer.run()
        mixture.run("3")
        words = load_tokenizer(paths.tokenizer())
        samples = read_samples(paths.mixture("3") / "train.parquet")
        seen = set()
        for sample in samples:
            trained = encode(words, sample.turns, [n * tokens_per_tile for n in sample.tile_counts(size, max_tiles)])
            images = [opened_chip(ref, tmp_path / "chip.tif") for ref in sample.images]
            asked = Conversation()
            for number, (question, answer) in enumerate(sample.turns):
                asked.ask(question.rpartition("<image>\n")[2], images if number == 0 else ())
                if number + 1 < len(sample.turns):
                    asked.answered(answer)
            share = tile_share(max_tiles, len(images))
            counts = [count_tiles(one.width, one.height, size, share) * tokens_per_tile for one in images]
            served = encode(words, asked.turns, counts)
            answer_ids = words.encode(f"{sample.turns[-1][1]}<|end|>", add_special_tokens=False)
            assert served.ids + answer_ids == trained.ids, sample.sample_id
            seen.add((sample.sensor, sample.modality))
    assert len(seen) == 5


def test_several_images_are_asked_about_in_the_very_words_that_series_were_trained_on(tmp_path: Path) -> None:
    shown = {"ms": {"sensors": 1}, "rgb": {"sensors": 1}, "sar": {"dates": 1}}
    write_series_dataset(tmp_path, mixture={"stage3": {"series": shown}})
    with contextlib.chdir(tmp_path):
        series.run()
        mixture.run("3")
        heads = set()
        for sample in (one for one in read_samples(paths.mixture("3") / "train.parquet") if len(one.images) > 1):
            head, _, text = sample.turns[0][0].partition("\n")
            images = [opened_chip(ref, tmp_path / f"{number}.tif") for number, ref in enumerate(sample.images)]
            asked = Conversation()
            asked.ask(f"[changedet] {text}" if head.startswith("[changedet]") else text, images)
            assert asked.turns[0][0] == sample.turns[0][0]
            heads.add(head.removeprefix("[changedet] "))
    tags = ("[s1_vh_temp_10]", "[s1_vh_10] [s2_ms_10]", "[s1_vh_10] [s2_rgb_10]")
    assert heads == {f"{tag} <image> <image>" for tag in tags}


def test_task_tags_stand_before_the_sensor_s_as_in_training(answerer: Answerer, scene: Path, tmp_path: Path) -> None:
    image = opened(scene)
    radar = opened(write(tmp_path / "s1.tif", decibel(), ["VV", "VH"]))

    def headed(question: str, images: list[ImageFile]) -> str:
        conversation = Conversation()
        conversation.ask(question, images)
        return conversation.turns[0][0]

    assert headed("What is it?", [image]) == "[s2_ms_10] <image>\nWhat is it?"
    assert headed("[classify] What is it?", [image]) == "[classify] [s2_ms_10] <image>\nWhat is it?"
    assert headed("What changed?", [image, image]) == "[s2_ms_temp_10] <image> <image>\nWhat changed?"
    assert headed("And now?", [image, radar]) == "[s1_vh_10] [s2_ms_10] <image> <image>\nAnd now?"
    picture = replace(image, true_colour=TrueColour(answerer.normalise, frozenset(), ("[s2_rgb_10]",)))
    assert headed("What changed?", [picture] * 2).startswith("[s2_rgb_temp_10] <image> <image>")
    assert headed("[0.5] is no tag", [image]) == "[s2_ms_10] <image>\n[0.5] is no tag"


def test_images_and_slots_must_agree_and_the_question_must_not_be_empty(scene: Path) -> None:
    image = opened(scene)
    with pytest.raises(EarthloomError, match="the question has 2 <image>, but 1 image is given"):
        Conversation().ask("<image> <image>\nWhat changed?", [image])
    with pytest.raises(EarthloomError, match="the question has 1 <image>, but 2 images are given"):
        Conversation().ask("<image>\nWhat changed?", [image, image])
    with pytest.raises(EarthloomError, match="no image is given"):
        Conversation().ask("What is it?")
    with pytest.raises(EarthloomError, match="the question is empty"):
        Conversation().ask("  \n", [image])


def decoded_in_a_slot(answerer: Answerer, question: Question, longest: int) -> str:
    """The answer as a run on a benchmark decodes it."""
    (done,) = answerer.network.answer_all([answerer.ask(question, longest)], 1, Usage(1))
    return done.text


def test_an_answer_comes_piece_by_piece_and_is_the_one_that_comes_at_once(answerer: Answerer, scene: Path) -> None:
    asked = Conversation()
    asked.ask("[refer] Where does the forest lie?", [opened(scene)])
    question = asked.question(answerer)
    pieces = list(answerer.stream(question, 60))
    assert len(pieces) > 3
    assert "".join(pieces).strip() == BOX_ANSWER == decoded_in_a_slot(answerer, question, 60)


def test_a_question_that_leaves_no_room_for_its_answer_is_refused_with_the_numbers(
    answerer: Answerer, scene: Path
) -> None:
    asked = Conversation()
    asked.ask("why " * 600, [opened(scene)])
    with pytest.raises(EarthloomError, match=r"the question has \d+ tokens .* the model takes 512 together"):
        answerer.ask(asked.question(answerer), 10)


def test_boxes_of_an_answer_lie_on_the_image_shown_last(scene: Path, tmp_path: Path) -> None:
    asked = Conversation()
    asked.ask("Where?", [opened(scene), opened(scene)])
    found = asked.boxes("<ref>lake</ref><box>[[0, 0, 500, 1000]]</box>, houses <box>[[500, 500, 1000, 1000]]</box>")
    assert found is not None
    first, second = found["features"]
    assert (first["properties"]["label"], second["properties"]["label"]) == ("lake", "houses")
    assert first["properties"]["image"] == 1
    assert first["properties"]["corners"] == [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
    assert first["geometry"]["type"] == "Polygon"
    assert asked.boxes("no box at all") is None
    broken = asked.boxes("<box>[[1, 2]]</box>")
    assert broken is not None and broken["features"] == [] and len(broken["unread"]) == 1


def test_boxes_on_an_image_without_a_place_have_no_geometry(tmp_path: Path) -> None:
    asked = Conversation()
    asked.ask("Where?", [opened(write(tmp_path / "x.tif", reflectance(12), L2A, georeferenced=False))])
    found = asked.boxes("<box>[[0, 0, 500, 1000]]</box>")
    assert found is not None and found["features"][0]["geometry"] is None


@pytest.mark.slow
def test_questions_on_the_command_line_are_answered_and_their_boxes_written(
    tiny_checkpoint: Path, scene: Path, tmp_path: Path
) -> None:
    asked = ("--question", "[refer] Where does the forest lie?", "--boxes-out", "boxes.geojson", "--draw", "boxes.png")
    done = chat(tmp_path, str(scene), "--model", str(tiny_checkpoint), *asked)
    assert done.returncode == 0, done.stderr
    assert BOX_ANSWER in done.stdout
    assert "sentinel-2 (by its band names), 12 bands, 64 x 64" in done.stderr
    collection = json.loads((tmp_path / "boxes.geojson").read_text())
    assert collection["features"][0]["properties"]["label"] == "forest"
    with rasterio.open(tmp_path / "boxes.png") as drawn:
        assert drawn.count == 3 and drawn.width == 512
        assert drawn.read()[:, int(0.2 * 512), int(0.3 * 512)].tolist() == [255, 176, 0]


@pytest.mark.slow
def test_typed_lines_are_turns_of_one_conversation_and_what_is_wrong_is_said(
    tiny_checkpoint: Path, scene: Path, tmp_path: Path
) -> None:
    typed = "What covers most of this image?\n/image absent.tif\n/new\n[refer] Where does the forest lie?\n/quit\nno\n"
    done = chat(tmp_path, str(scene), "--model", str(tiny_checkpoint), typed=typed)
    assert done.returncode == 0, done.stderr
    first, error, second = done.stdout.strip().splitlines()
    assert first == "dense forest" and "absent.tif" in error and second == BOX_ANSWER


def test_a_folder_that_is_no_checkpoint_is_an_error_that_says_what_to_do(tmp_path: Path, scene: Path) -> None:
    done = chat(tmp_path, str(scene), "--question", "What is it?")
    assert done.returncode == 1 and "`earthloom demo` trains one in data/train/3" in done.stderr


def test_a_pickle_offered_as_a_model_is_refused_unopened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EarthloomError, match=r"pytorch_model\.bin: weights as pickles can run code"):
        Answerer(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_without_its_statistics_is_refused(tmp_path: Path, tiny_checkpoint: Path) -> None:
    for file in tiny_checkpoint.iterdir():
        if file.name != "normalisation.json":
            os.link(file, tmp_path / file.name)
    with pytest.raises(EarthloomError, match=r"no normalisation\.json"):
        Answerer(tmp_path)


def test_weights_that_do_not_fit_the_configuration_are_named_and_not_made_up(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    for file in tiny_checkpoint.iterdir():
        if file.name != "model.safetensors":
            os.link(file, tmp_path / file.name)
    weights = load_file(tiny_checkpoint / "model.safetensors")
    weights["stranger"] = weights.pop("model.multi_modal_projector.linear_1.weight")
    weights["lm_head.weight"] = weights["lm_head.weight"][:-1].clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(EarthloomError, match=r"missing: model\.multi_modal_projector.*unknown: stranger.*lm_head"):
        Answerer(tmp_path)


def test_boxes_survive_a_tokenizer_that_holds_them_for_special(tmp_path: Path, tiny_checkpoint: Path) -> None:
    layout = json.loads((tiny_checkpoint / "tokenizer.json").read_text())
    for token in layout["added_tokens"]:
        token["special"] = True
    (tmp_path / "tokenizer.json").write_text(json.dumps(layout))
    (tmp_path / "tokenizer_config.json").write_bytes((tiny_checkpoint / "tokenizer_config.json").read_bytes())
    mended, plain = load_tokenizer(tmp_path), load_tokenizer(tiny_checkpoint)
    ids = plain.encode(f"[refer] {BOX_ANSWER}<|end|>", add_special_tokens=False)
    assert mended.encode(f"[refer] {BOX_ANSWER}<|end|>", add_special_tokens=False) == ids
    assert mended.decode(ids, skip_special_tokens=True) == f"[refer] {BOX_ANSWER}"
