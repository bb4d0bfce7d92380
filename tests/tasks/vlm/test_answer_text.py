"""The text of an answer as its tokens come: whole characters, nothing of a stop, every token's row once."""

import random

import pytest

from tasks.vlm.answer_text import AnswerText, StopText, TokenText
from tasks.vlm.answerer import load_tokenizer
from tasks.vlm.sampling import TokenLogprob
from tests.fixtures.tiny_checkpoint import write_tokenizer

TEXTS = ("dense forest", "Ein Fluß, 森林 und 🛰️ é", " <box>[[1, 2, 3, 4]]</box> ", "a\n\n b\t", "no�thing")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, ["dense forest and open water"])
    return load_tokenizer(folder)


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_of_tokens_comes_in_whole_characters_and_is_the_text(tokenizer, text: str) -> None:
    made = TokenText(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    parts = [made.add(token) for token in tokenizer.encode(text, add_special_tokens=False)]
    assert "".join(parts) + made.rest() == text
    if "�" not in text:
        assert not any("�" in part for part in parts) and made.rest() == ""
    half = TokenText(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    assert half.add(tokenizer.encode("森", add_special_tokens=False)[0]) == "" and half.rest() == "�"


@pytest.mark.parametrize(
    ("stops", "text", "expected"),
    [
        (["</s>"], "yes</s>no", "yes"),
        (["</s>"], "yes</s", "yes</s"),
        (["\n"], "one\ntwo\n", "one"),
        (["abc", "b"], "xabc", "xa"),
        (["aab"], "aaaab", "aa"),
        (["ab", "bc"], "zabc", "z"),
        (["x"], "x", ""),
        (["森林"], "a森b森林", "a森b"),
        ([], "all of it", "all of it"),
    ],
)
def test_a_stop_is_found_wherever_the_text_is_broken_and_never_shown(
    stops: list[str], text: str, expected: str
) -> None:
    for seed in range(20):
        drawn, stop, shown, left = random.Random(seed), StopText(stops), "", text
        while left and not stop.stopped:
            size = drawn.randint(1, 3)
            shown += stop.add(left[:size])
            left = left[size:]
            assert expected.startswith(shown)
        assert shown + stop.rest() == expected and stop.stopped == (expected != text)


def test_every_token_of_the_answer_has_its_row_and_none_of_the_stop(tokenizer) -> None:
    text, stop = "dense forest. END and more", " END"
    answer = AnswerText(lambda ids: tokenizer.decode(ids, skip_special_tokens=True), [stop])
    rows, shown = [], ""
    for token in tokenizer.encode(text, add_special_tokens=False):
        added, ready = answer.add(token, TokenLogprob(tokenizer.decode([token]), -1.0))
        shown, rows = shown + added, [*rows, *ready]
        assert "".join(row.text for row in rows).startswith(shown)
        if answer.stopped:
            break
    assert shown == "dense forest." == "".join(row.text for row in rows) and answer.rest() == ("", ())
