"""What a model was taught, and how a question outside of it is answered."""

from pathlib import Path

import pytest

from tasks.vlm.limits import Limits
from tasks.vlm.samples import ImageRef, Sample
from tasks.vlm.wording import Wording, content_words

KINDS = {
    "presence": ("Is there any {} in the image?", ("yes", "no")),
    "count": ("How many areas of {} are mapped in this image?", ("2", "5")),
    "scene-class": ("Which land cover takes up the largest part of the scene?", ("open water", "dense forest")),
}


def sample(kind: str, question: str, answer: str, modality: str = "ms", images: int = 1) -> Sample:
    bands = ("B04", "B03", "B02", "B08")[: 3 if modality == "rgb" else 4]
    one = ImageRef("chips.parquet", "c", "sentinel-2", modality, bands, 64, 64, None)
    head = " ".join(["[s2_ms_10]", *["<image>"] * images])
    turns = ((f"{head}\n{question}", answer),)
    return Sample("s", "c", "sentinel-2", modality, (one,) * images, turns, (kind,), 1)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [
        sample(kind, question.format(label), answer)
        for kind, (question, answers) in KINDS.items()
        for label in ("water", "forest", "bare ground")
        for answer in answers
    ]


@pytest.fixture(scope="module")
def limits(samples: list[Sample]) -> Limits:
    return Limits.of(samples)


SEEN = [("sentinel-2", "ms")]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How many ships?", "not taught about ships"),
        ("Is there a swimming pool beside the road?", "not taught about swimming, pool and road"),
        ("[refer] Where does it lie?", "not taught about lie"),
        ("Combien de bateaux?", "not taught about combien, de and bateaux"),
        ("How many areas take part?", "not taught questions like this one"),
        ("What is it?", "not taught questions like this one"),
    ],
)
def test_a_question_outside_is_answered_with_the_limit_by_name_and_questions_to_ask(
    limits: Limits, question: str, said: str
) -> None:
    answer = limits.refusal(question, SEEN)
    assert answer is not None and said in answer
    assert "It knows images of sentinel-2 (ms)." in answer and "Is there any water in the image?" in answer


@pytest.mark.parametrize(
    "question",
    [
        "Is there any water in the image?",
        "[s2_ms_10] <image>\nIs there any water in the image?",
        "Can you see bare ground?",
        "How many areas of forest are there, please?",
        "Which land cover is the largest?",
        "Show me the water.",
    ],
)
def test_what_was_taught_may_be_asked_in_other_words_of_training(limits: Limits, question: str) -> None:
    assert limits.refusal(question, SEEN) is None


def test_no_training_question_is_refused(limits: Limits, samples: list[Sample]) -> None:
    assert [s.turns[0][0] for s in samples if limits.refusal(s.turns[0][0], SEEN)] == []


def test_images_outside_are_a_limit_too(limits: Limits) -> None:
    question = "Is there any water in the image?"
    said = {
        "not trained on images of landsat shown as ms": [("landsat", "ms")],
        "not trained on images of sentinel-2 shown as rgb": [("sentinel-2", "rgb")],
        "shown one image at a time, and 2 images are given": SEEN * 2,
    }
    for words, images in said.items():
        assert words in str(limits.refusal(question, images))


def test_limits_are_read_back_and_joined_with_those_of_the_stage_before(limits: Limits, tmp_path: Path) -> None:
    limits.save(tmp_path)
    assert Limits.load(tmp_path) == limits and Limits.load(tmp_path / "gone") is None
    later = Limits.of([sample("change", "What has changed?", "nothing", "rgb", 2), sample(*_more())])
    both = later.joined(limits)
    assert both.images == 2 and set(both.kinds) == {*KINDS, "change"}
    assert {name: one.samples for name, one in both.sensors["sentinel-2"].items()} == {"ms": 19, "rgb": 2}
    assert both.kinds["presence"].count == 7 and both.kinds["presence"].answers == ("no", "yes")
    for question in ("What has changed?", "Is there any snow in the image?", "Is there any forest in the image?"):
        assert both.refusal(question, SEEN * 2) is None
    assert "about snow" in str(limits.refusal("Is there any snow in the image?", SEEN))


def _more() -> tuple[str, str, str]:
    return "presence", "Is there any snow in the image?", "no"


def test_scores_stand_beside_the_best_control_and_choose_the_examples(limits: Limits) -> None:
    scores = {
        "overall": {"accuracy": 0.7, "n": 20, "majority": 0.5, "no_image": 0.6, "chips": 3, "ci95": [0.6, 0.8]},
        "by_type": {"count": {"accuracy": 0.9, "n": 4, "majority": 0.5}, "presence": {"accuracy": 0.4, "n": 4}},
    }
    scored = limits.scored(scores)
    assert scored.examples[0].startswith("How many areas")
    assert "On held-out questions: 70.0% right of 20, the best control 60.0%." in list(scored.brief())
    assert any(line.startswith("  count (6 in training; 90.0% right of 4, the best") for line in scored.lines())


def test_weights_whose_training_is_not_on_record_are_asked_anything(limits: Limits) -> None:
    from dataclasses import replace

    known = replace(limits, open=True)
    assert known.refusal("How many ships?", [("landsat", "rgb")]) is None
    assert any("not on record" in line for line in known.brief())


def test_words_are_compared_without_plurals_boxes_tags_and_politeness() -> None:
    assert content_words("[refer] Please mark all areas in [[0, 0, 250, 500]] of the scene.") == ["mark", "areas"]
    wording = Wording.of([("How many classes of open water are there?", "2")])
    assert wording.unknown("How many class of waters, and cities?") == ["cities"]
    assert Wording.from_json(wording.as_json()) == wording
