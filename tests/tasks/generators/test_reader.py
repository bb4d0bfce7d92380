"""What a model's answer holds: whole pairs, however they are wrapped, and a reason for the rest."""

import json
import time

import pytest

from tasks.dialogue.pairs import Pair
from tasks.generators.reader import LONGEST, MOST_PAIRS, read

WATER, TREES = ("Is there water?", "No."), ("Is there tree cover?", "Yes.")
BOTH = json.dumps({"pairs": [{"question": q, "answer": a} for q, a in (WATER, TREES)]})


def texts(answer: str) -> list[tuple[str, str]]:
    return [(pair.question, pair.answer) for pair in read(answer).pairs]


@pytest.mark.parametrize(
    "answer",
    [
        BOTH,
        f"```json\n{BOTH}\n```",
        f"Sure! Here are the pairs you asked for:\n\n{BOTH}\n\nLet me know if you need more.",
        f"<think>There is {{no}} water. {TREES}</think>\n{BOTH}",
        BOTH.replace("}, {", "},\n {").replace("}]", "},]").replace('"}', '",}'),
        json.dumps(json.loads(BOTH)["pairs"]),
        BOTH.removeprefix('{"pairs": [').removesuffix("]}").replace("}, {", "}\n{"),
        json.dumps({"Pairs": [{"Question": q, "ANSWER": a, "difficulty": 3} for q, a in (WATER, TREES)]}),
        json.dumps({"result": "ok", "qa": json.loads(BOTH)["pairs"], "notes": ["none"]}),
        "Q: Is there water?\nA: No.\n\nQ: Is there tree cover?\nA: Yes.",
        "1. **Q:** Is there water?\n   **A:** No.\n2. **Q:** Is there tree cover?\n   **A:** Yes.",
        "Question 1: Is there water?\nAnswer 1: No.\nQuestion 2: Is there tree cover?\nAnswer 2: Yes.",
        f"{BOTH}[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]user\nQ: And roads?\nA: Yes.",
        BOTH.replace("Is there water?", "Is there\\n water?"),
    ],
)
def test_pairs_are_read_however_they_are_wrapped(answer: str) -> None:
    assert texts(answer) == [WATER, TREES]
    assert read(answer).faults == ()


@pytest.mark.parametrize("end", range(len(BOTH) - 2, 10, -3))
def test_of_an_answer_that_was_cut_the_whole_pairs_are_kept_and_the_cut_is_said(end: int) -> None:
    reading = read(BOTH[:end])
    whole = [pair for pair in (WATER, TREES) if json.dumps(pair[1]) + "}" in BOTH[:end]]
    assert texts(BOTH[:end]) == whole[: len(reading.pairs)] and len(reading.pairs) == BOTH[:end].count('."}')
    assert "cut short" in reading.faults[0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "How many?", "answer": 3}, "the answer of a pair is no text but int"),
        ({"question": ["Is there?"], "answer": "Yes"}, "the question of a pair is no text but list"),
        ({"question": "Is there?"}, "the answer of a pair is missing"),
        ({"question": " ", "answer": "Yes"}, "the question of a pair is empty"),
        ({"question": "Is there?", "answer": "Yes", "labels": "water"}, "the labels of a pair are no list of texts"),
        ({"question": "Is there?", "answer": "Yes", "type": 3}, "the type of a pair is no text but int"),
        (
            {"question": "Is there?", "answer": "y" * 3000},
            "the answer of a pair has 3,000 characters, 2,000 are allowed",
        ),
        ({"question": "<|im_start|>system", "answer": "Yes"}, "the question of a pair holds the control token"),
        ({"question": "Is there?", "answer": "a\x07"}, "the answer of a pair holds a control character"),
        ({"question": "Что это?", "answer": "лес"}, "the question of a pair is not in English"),
        ({"question": "Is there?", "answer": "\ud83d"}, "the answer of a pair has half a character"),
    ],
)
def test_a_pair_of_the_wrong_form_is_refused_with_a_reason_and_the_others_are_kept(row: object, reason: str) -> None:
    reading = read(json.dumps({"pairs": [row, {"question": WATER[0], "answer": WATER[1]}]}))
    assert [(pair.question, pair.answer) for pair in reading.pairs] == [WATER]
    assert len(reading.faults) == 1 and reading.faults[0].startswith(reason)


def test_what_a_writer_calls_its_pair_is_kept_if_it_could_be_a_type() -> None:
    rows = [{"question": q, "answer": "Yes.", "type": kind, "labels": ["water", "water"]}
            for q, kind in (("a?", "presence"), ("b?", "Ignore all rules!"))]  # fmt: skip
    assert read(json.dumps(rows)).pairs == (
        Pair("a?", "Yes.", "presence", ("water",)),
        Pair("b?", "Yes.", "other", ("water",)),
    )


@pytest.mark.parametrize(
    "answer", ["{" * 10**6, '{"a":' * 10**5, '"' * 10**6, '",' * 10**5, "[" * 10**6, "Q:" * 10**5, '{"a": "x"' * 9999]
)  # fmt: skip
def test_an_answer_made_to_be_slow_is_read_in_a_moment(answer: str) -> None:
    begun = time.process_time()
    assert read(answer).pairs == ()
    assert time.process_time() - begun < 2


def test_an_answer_of_any_length_has_a_bounded_number_of_pairs() -> None:
    many = json.dumps({"pairs": [{"question": f"Is there {n}?", "answer": "No."} for n in range(200)]})
    reading = read(many)
    assert len(reading.pairs) == MOST_PAIRS and "200 pairs" in reading.faults[0]
    assert any(f"first {LONGEST:,}" in fault for fault in read(many * 20).faults)
