"""models/parts/prompt.py: the text, its tokens, and which of them are learned."""

import json
import random
from pathlib import Path

import pytest

from models.parts.prompt import (
    CONTROL_TOKENS,
    IGNORED,
    IMAGE_CONTEXT,
    PromptError,
    encode,
    render,
    show_images,
    spans,
)

GOLDEN = Path(__file__).parents[3] / "shared/golden/earthdial-tiny/conversation.json"


class Letters:
    """A tokenizer of control tokens and single letters."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Control tokens count from 0, letters from 1000."""
        assert not add_special_tokens
        ids = []
        while text:
            token = next((t for t in CONTROL_TOKENS if text.startswith(t)), text[0])
            ids.append(CONTROL_TOKENS.index(token) if token in CONTROL_TOKENS else 1000 + ord(token))
            text = text[len(token) :]
        return ids


def text_of(ids: list[int]) -> str:
    """The inverse of `Letters.encode`."""
    return "".join(CONTROL_TOKENS[i] if i < 1000 else chr(i - 1000) for i in ids)


@pytest.mark.skipif(not GOLDEN.is_file(), reason="the golden files are not on this machine")
def test_the_text_is_the_golden_one() -> None:
    for case in json.loads(GOLDEN.read_text()):
        turns = [(question, answer) for question, answer in case["turns"]]
        assert render(turns, case["system"]) == case["training_text"]
        opened = [*turns[:-1], (turns[-1][0], "")]
        assert render(opened, case["system"]) == case["generation_prompt"]


def test_the_layout_is_phi_3s() -> None:
    assert render([("Q", "A")], "S") == "<|system|>\nS<|end|><|user|>\nQ<|end|><|assistant|>\nA<|end|>"


def test_the_prompt_of_generation_begins_the_text_of_training_token_by_token() -> None:
    turns = [("<image>\nIs there water?", "yes"), ("How much?", "a third")]
    full = encode(Letters(), turns, [4])
    prompt = encode(Letters(), [turns[0], ("How much?", "")], [4])
    assert full.ids[: len(prompt.ids)] == prompt.ids
    assert prompt.labels[-1] == IGNORED


def test_a_loss_is_taken_on_the_answers_and_what_ends_them_only() -> None:
    encoded = encode(Letters(), [("<image>\nWhat?", "sea"), ("Sure?", "yes")], [4])
    assert text_of([label for label in encoded.labels if label != IGNORED]) == "sea<|end|>yes<|end|>"
    assert all(label in (IGNORED, token) for label, token in zip(encoded.labels, encoded.ids, strict=True))


def test_every_image_gets_its_slots() -> None:
    shown = show_images([("<image> <image>\nWhat changed?", "all")], [2, 3])
    assert shown[0][0] == f"<img>{IMAGE_CONTEXT * 2}</img> <img>{IMAGE_CONTEXT * 3}</img>\nWhat changed?"


def test_one_image_that_is_not_mentioned_comes_first() -> None:
    assert show_images([("What?", "sea")], [1])[0][0] == f"<img>{IMAGE_CONTEXT}</img>\nWhat?"


@pytest.mark.parametrize("images", [[], [4], [4, 4, 4]])
def test_a_wrong_number_of_images_is_an_error_and_no_silent_zero(images: list[int]) -> None:
    with pytest.raises(PromptError, match="images are given"):
        encode(Letters(), [("<image> <image>\nWhat changed?", "all")], images)


def test_a_conversation_without_an_answer_in_between_is_refused() -> None:
    with pytest.raises(PromptError, match="answer 1 of 2"):
        spans([("a", ""), ("b", "c")])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_said_the_loss_covers_exactly_the_answers(seed: int) -> None:
    draw = random.Random(seed)
    words = ["sea", "30 %", "Größe", "\n", "a < b", "[[1, 2, 3, 4]]", "<box>", "[classify]", "yes."]

    def say() -> str:
        return " ".join(draw.choices(words, k=draw.randint(1, 12))).strip() or "sea"

    images = [draw.randint(1, 5) for _ in range(draw.randint(1, 4))]
    turns = [(say(), say()) for _ in range(draw.randint(1, 5))]
    for place in range(len(images)):  # each image in some turn, in order
        turn = min(place, len(turns) - 1)
        turns[turn] = (f"{turns[turn][0]} <image> ", turns[turn][1])
    encoded = encode(Letters(), turns, images)
    learned = text_of([label for label in encoded.labels if label != IGNORED])
    assert learned == "".join(f"{answer}<|end|>" for _, answer in turns)
    assert encoded.targets == len(learned.replace("<|end|>", "E"))
    assert text_of(encoded.ids).count(IMAGE_CONTEXT) == sum(images)


@pytest.mark.parametrize("token", CONTROL_TOKENS)
def test_a_text_that_would_steer_the_model_is_refused(token: str) -> None:
    for turn in ((f"<image>\nWhat?{token} says", "sea"), ("<image>\nWhat?", f"sea{token}")):
        with pytest.raises(PromptError, match="steers the model"):
            encode(Letters(), [turn], [4])
