"""Who guesses without a model: each control's answers on a made table with the right values beside it."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from tasks import guesses, mixture
from tasks.core import paths, tables
from tasks.core.section import load
from tasks.core.stage import read_json
from tasks.dialogue.verifier.meaning import meaning
from tasks.evaluation.guessing.asked import Asked
from tasks.evaluation.guessing.commonest import Majority, SameScene
from tasks.evaluation.guessing.neighbours import Neighbours
from tasks.evaluation.guessing.table import SCHEMA, TEST, UNSEEN
from tasks.evaluation.metrics.guesses import GUESSES
from tasks.evaluation.metrics.text_normalisation import same
from tasks.guesses import GuessesParams
from tasks.vlm.samples import ImageRef, read_samples
from tests.fixtures.small_dataset import geotiff, write_dataset, write_shards


def asked(
    question: str, answer: str = "", scene: str = "", kind: str = "presence", chip: str = "c", bands: str = "B04"
) -> Asked:
    image = ImageRef("shard-0000.parquet", chip, "sentinel-2", "ms", (bands,), 8, 8, None)
    return Asked(
        f"{chip} turn 0", chip, chip, scene, "sentinel-2", "ms", (image,), kind, question, meaning(question), answer
    )


def test_who_guesses_is_who_the_table_names() -> None:
    params = load(GuessesParams, "guesses", Path(__file__).parents[4] / "params.yaml")
    assert ["majority", *guesses.solvers([], params)] == list(GUESSES)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Is there any water in this image?", "Can you see any water in the scene?", True),
        ("Is there less water than forest in this image?", "Is there more forest than water in the image?", True),
        ("Which is more extensive, water or forest?", "Which is more extensive, forest or water?", True),
        ("Is there any water in this image?", "Is there any forest in this image?", False),
        ("Is there more water than forest in this image?", "Is there more forest than water in this image?", False),
        ("What share of this image is forest?", "About what percentage of this image is forest?", False),
        ("What has become of the old mill?", "What has become of the new mill?", False),
    ],
)
def test_questions_that_ask_the_same_are_the_same_in_any_words(one: str, other: str, alike: bool) -> None:
    assert (meaning(one) == meaning(other)) == alike


def test_the_majority_is_of_the_same_question_in_any_words_or_else_of_its_type_and_form() -> None:
    training = [asked("Is there any water in this image?", "No."), asked("Can you see any water in the scene?", "no")]
    training += [asked("Is there any forest in this image?", "yes")] * 3
    training += [asked("How much of this image is water?", answer, kind="share") for answer in ("b", "a")]
    training += [asked("About what percentage of this image is water?", "20%", kind="share")] * 5
    majority = Majority(training)
    assert majority.answer(asked("Does this image show any water?")) == "no"
    assert majority.answer(asked("Is there any scrub in this image?")) == "yes"
    assert not majority.was_asked(asked("Is there any scrub in this image?"))
    assert majority.answer(asked("How much of this image is forest?", kind="share")) == "a"  # a tie, by the alphabet
    assert majority.answer(asked("How many lakes are there?", kind="count")) == ""


def test_the_same_scene_answers_as_its_own_training_chips_and_not_as_those_of_another() -> None:
    question = "Is there any water in this image?"
    training = (
        [asked(question, "no", "coast")] + [asked(question, "yes", "inland")] * 5 + [asked(question, "no", "")] * 9
    )
    solver = SameScene(training)
    assert solver.answer(asked(question, scene="coast")) == "no"
    assert solver.answer(asked("Can you see any water in the scene?", scene="inland")) == "yes"
    assert solver.answer(asked(question, scene="elsewhere")) is None and solver.answer(asked(question)) is None
    assert solver.answer(asked("Is there any forest in this image?", scene="coast")) is None
    assert solver.scenes == {"coast", "inland"}


def test_the_nearest_chips_of_the_same_bands_that_were_asked_the_same_vote(tmp_path: Path) -> None:
    levels = {"a": 0.10, "b": 0.12, "c": 0.14, "d": 0.90, "e": 0.95, "near": 0.11, "far": 0.93, "other": 0.11}
    noise = np.random.default_rng(0).normal(0, 1e-3, (8, 8))
    rows = [
        {"chip_id": name, "bands": ["B04", "B08"], "width": 8, "height": 8,
         "pixels": geotiff(np.stack([level + noise, noise]).astype(np.float32), ["B04", "B08"])}
        for name, level in levels.items()
    ]  # fmt: skip
    question = "Is there any water in this image?"
    with contextlib.chdir(tmp_path):
        write_shards(tmp_path, [*rows, *rows])  # both halves alike: one shard has all of them
        training = [
            asked(question, said, chip=chip)
            for chip, said in zip("abcde", ("yes", "no", "no", "yes", "yes"), strict=True)
        ]
        three, one = Neighbours(training, 3, 100), Neighbours(training, 1, 100)
        assert three.answer(asked(question, chip="near")) == "no"  # a, b, c: one yes, two no
        assert three.answer(asked("Can you see any water in the scene?", chip="far")) == "yes"
        assert one.answer(asked(question, chip="near")) in ("yes", "no")
        assert three.answer(asked("Is there any forest in this image?", chip="near")) is None
        assert three.answer(asked(question, chip="other", bands="B08")) is None
        assert Neighbours(training, 3, 2).left_out == 3


def test_the_probe_knows_what_lies_where_from_masks_and_pixels_alone(tmp_path: Path) -> None:
    write_dataset(tmp_path, 16, ("sentinel-2",))
    with contextlib.chdir(tmp_path):
        mixture.run("3")
        summary = guesses.run()
        first = {path.name: path.read_bytes() for path in sorted(paths.guesses().iterdir())}
        guesses.run()
        assert first == {path.name: path.read_bytes() for path in sorted(paths.guesses().iterdir())}
        table = tables.read(paths.guesses() / f"{TEST}.parquet")
        samples = {sample.sample_id: sample for sample in read_samples(paths.mixture("3") / "test.parquet")}
        probes = read_json(paths.guesses() / "guesses.json")["probes"]
    assert table.schema == SCHEMA and table.num_rows == summary[TEST]["questions"] == len(samples)
    rows = table.to_pylist()
    assert {row["label_source"] for row in rows} == {"synthetic"} and {row["scene"] for row in rows} == {UNSEEN}
    truths = {row["id"]: samples[row["id"].removesuffix(" turn 0")].turns[0][1] for row in rows}
    said = [row for row in rows if row["probe_answer"] is not None]
    right = [same(row["probe_answer"], truths[row["id"]]) for row in said]
    assert len(said) > 0.9 * len(rows) and sum(right) >= 0.9 * len(right)
    guessed = [same(row["majority_answer"], truths[row["id"]]) for row in rows]
    assert sum(guessed) < 0.6 * len(guessed)
    # 13 bands, two hidden layers of 32 and four classes; in true colour three bands.
    assert probes["sentinel-2 rgb synthetic"] == 3 * 32 + 32 + 32 * 32 + 32 + 32 * 4 + 4
    assert probes["sentinel-2 ms synthetic"] >= 10 * 32 + 32 + 32 * 32 + 32 + 32 * 4 + 4
