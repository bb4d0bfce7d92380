"""Conversations of EarthDial-Instruct: what is repaired, what is refused, and that each has a name."""

import json
from typing import Any

import pytest

from tasks.dialogue.conversations import TASK_TAGS
from tasks.earth.display_sensors import SENSOR_TAGS, known_sensor
from tasks.published.registry import PUBLISHED, by_name, find
from tasks.published.repairs import FLAGS, REJECTS, REPAIRS, Notes, RowError
from tasks.published.text import flag_boxes, open_conversation, pair_turns, set_head
from tests.conftest import ROOT


def read(raw: Any, entry: str = "satlas-s2", images: int = 1, strict: bool = False) -> tuple[Any, Notes]:
    """Turns of a text column, and what was done to them."""
    known, notes = by_name(entry), Notes(strict)
    assert known is not None
    turns, _ = set_head(pair_turns(open_conversation(raw, known, notes), notes), images, known, notes)
    flag_boxes(turns, notes)
    return turns, notes


def talk(*values: str, speakers: tuple[str, ...] = ("human", "gpt")) -> str:
    return json.dumps([{"from": speakers[n % len(speakers)], "value": value} for n, value in enumerate(values)])


GOOD = talk("[s2_rgb_10] <image>\nWhat is here?", "A lake.")


def test_a_good_row_is_not_touched() -> None:
    turns, notes = read(GOOD)
    assert turns == [("[s2_rgb_10] <image>\nWhat is here?", "A lake.")]
    assert not notes.repairs and not notes.flags


@pytest.mark.parametrize(
    ("raw", "repair"),
    [
        (talk("[s2_rgb_10]  <image> \\n What is here?", "A lake."), "escaped-newline"),
        (json.dumps(GOOD), "nested-json"),
        (json.dumps({"conversations": GOOD}), "wrapped-object"),
        (GOOD.replace("\\n", "\n"), "control-character"),
        (talk("[s2_rgb_10] <image>\nWhat is here?", "A lake.", speakers=("user", "assistant")), "speaker-name"),
        (talk("[s2_rgb_10] <image>\nWhat is here?", "A lake.", "And there?"), "unanswered-question"),
        (talk("[s1_vh_10] <image>\nWhat is here?", "A lake."), "retagged"),
        (talk("<image>\nWhat is here?", "A lake."), "tag-added"),
        (talk("[s2_rgb_10] What is here?", "A lake."), "image-slot-added"),
    ],
)
def test_a_defect_with_one_reading_is_repaired_and_counted_and_strict_refuses_it(raw: str, repair: str) -> None:
    turns, notes = read(raw)
    assert turns == [("[s2_rgb_10] <image>\nWhat is here?", "A lake.")]
    assert repair in notes.repairs
    with pytest.raises(RowError) as refused:
        read(raw, strict=True)
    assert refused.value.reason in REPAIRS


def test_an_image_named_in_a_later_question_moves_to_the_first() -> None:
    turns, notes = read(talk("[s2_rgb_10] Hello", "Hello.", "<image>\nWhat is here?", "A lake."))
    assert [question for question, _ in turns] == ["[s2_rgb_10] <image>\nHello", "What is here?"]
    assert notes.repairs == {"image-slot-moved"}


def test_a_quotation_mark_that_nothing_opens_is_left_off() -> None:
    head = "[changedet] [hr_rgb_temp_0.5] <image> <image>\n"
    raw = talk(f'{head}Which type? Options: flood, wind." Answer in single word.', "flood")
    turns, notes = read(raw, "xbd", images=2)
    assert turns[0][0] == f"{head}Which type? Options: flood, wind. Answer in single word."
    assert notes.repairs == {"stray-quote"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "missing-text"),
        ("  ", "missing-text"),
        ("[]", "empty-conversation"),
        ("[{'from': 'human'}", "not-json"),
        ('"a text"', "not-json"),
        ("{}", "not-a-conversation"),
        ("[1, 2]", "not-a-conversation"),
        (talk("[s2_rgb_10] <image>\nWhat?"), "odd-turns"),
        (talk("A lake.", "What?", speakers=("gpt", "human")), "wrong-speaker"),
        (talk("What?", "What?", speakers=("human", "human")), "wrong-speaker"),
        (talk("Be kind.", "What?", "A lake.", speakers=("system", "human", "gpt")), "wrong-speaker"),
        (talk("[s2_rgb_10] <image>\nWhat?", " "), "empty-turn"),
        (talk("[s2_rgb_10] <image>\n", "A lake."), "empty-turn"),
        (talk("[s2_rgb_10] <image> <image>\nWhat?", "A lake."), "image-slots"),
        (talk("[s2_rgb_10] <image>\nWhat?", "A lake in <image>."), "image-in-answer"),
        (talk("[s9_rgb_10] <image>\nWhat?", "A lake."), "unknown-tag"),
    ],
)
def test_what_has_no_one_reading_is_refused_with_its_reason(raw: Any, reason: str) -> None:
    with pytest.raises(RowError) as refused:
        read(raw)
    assert refused.value.reason == reason
    assert reason in REJECTS and str(refused.value)


@pytest.mark.parametrize("slots", [0, 1, 3])
def test_two_images_need_two_slots(slots: int) -> None:
    head = " ".join(["[changedet] [hr_rgb_temp_0.5]", *["<image>"] * slots])
    with pytest.raises(RowError, match=f"{slots} <image> in the questions, but 2 images"):
        read(talk(f"{head}\nWhat changed?", "Nothing."), "change", images=2)


def test_slots_inside_the_question_stay_where_they_are() -> None:
    raw = talk("[changedet] [hr_rgb_temp_0.5] Before: <image> after: <image> what changed?", "Nothing.")
    turns, notes = read(raw, "change", images=2)
    assert turns[0][0] == "[changedet] [hr_rgb_temp_0.5]\nBefore: <image> after: <image> what changed?"
    assert not notes.repairs


def test_the_task_tag_names_the_task_and_its_order_stays() -> None:
    turns, notes = read(talk("[refer] [hr_rgb_0.5] <image>\nWhere is <ref>1 car</ref>", "[[1, 2, 3, 4, 0]]"), "geochat")
    assert turns[0][0].startswith("[refer] [hr_rgb_0.5] <image>\n")
    assert not notes.repairs and not notes.flags


def test_boxes_that_leave_the_grid_and_brackets_without_a_box_are_flagged_and_kept() -> None:
    _, far = read(talk("[s1_vh_1] <image>\nWhere?", "<box>[[[10, 20, 131, 40, 90]]]</box>"), "ship-v0")
    _, torn = read(talk("[s1_vh_1] <image>\nWhere?", "[[10, 20, 30]] or [[here]]"), "ship-v0")
    assert far.flags == {"box-out-of-range"} and torn.flags == {"box-malformed"}


@pytest.mark.parametrize(
    ("folder", "entry"),
    [
        ("Satlas_S2", "satlas-s2"),
        ("NAIP_final_3", "naip"),
        ("Naip_Set0", "naip"),
        ("NWPU-RESISC45", "classification"),
        ("NWPU_RESISC45_Captions", "captions"),
        ("UCM", "classification"),
        ("UCM_VQA", "vqa"),
        ("UCM_captions", "captions"),
        ("BigEarthNet_RGB", "bigearthnet-rgb"),
        ("BigEarthNet_MS", "bigearthnet-ms"),
        ("Change_SAR_quake", "quakeset"),
        ("Change_Dubai", "change"),
        ("xBD_refer", "xbd"),
        ("rs_LCZ_test", "lcz"),
        ("SRSDD_V1_0_refer", "srsdd"),
    ],
)
def test_a_folder_is_known_by_the_longest_start_of_its_name(folder: str, entry: str) -> None:
    found = find([folder])
    assert found is not None and found.name == entry


def test_an_unknown_folder_is_nobodys() -> None:
    assert find(["holiday_pictures"]) is None


def test_every_published_set_has_registered_tags_and_bands_of_its_sensor() -> None:
    assert len({entry.name for entry in PUBLISHED}) == len(PUBLISHED)
    for entry in PUBLISHED:
        sensor = known_sensor(entry.sensor)
        assert {entry.tag, *entry.also} <= set(SENSOR_TAGS)
        assert entry.task is None or entry.task in TASK_TAGS
        assert set(entry.stored_bands) <= set(sensor.band_names)
        assert set(sensor.rgb or ()) <= set(entry.stored_bands)


def test_the_guides_list_every_repair_reject_and_flag() -> None:
    names = ("import-earthdial-instruct.md", "import-your-own.md")
    guide = "".join((ROOT / "docs/how-to" / name).read_text() for name in names)
    missing = [code for code in (*REPAIRS, *REJECTS, *FLAGS) if f"`{code}`" not in guide]
    assert not missing
