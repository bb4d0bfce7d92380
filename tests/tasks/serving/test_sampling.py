"""What a client may ask of the tokens of its answer, honoured whoever else is answered beside it."""

import asyncio
import json
from pathlib import Path

import pytest

from tasks.serving.errors import RequestError
from tasks.serving.generation import Generated, Generator, Sampling
from tasks.vlm.answerer import Answerer
from tests.fixtures.asking import LONGEST, answered, ask, count, never, together, twenty
from tests.fixtures.tiny_checkpoint import BOX_ANSWER, TAUGHT
from tests.fixtures.tiny_moe_checkpoint import CAPTION
from tests.fixtures.tiny_moe_checkpoint import TAUGHT as MOE_TAUGHT


def test_a_seed_draws_the_same_answer_whoever_is_answered_beside_it(answerer: Answerer, generator: Generator) -> None:
    asks = twenty(answerer, 12)
    drawing = [Sampling(20, temperature=2.0, top_p=0.95, seed=n % 3) for n in range(12)]
    first = together(generator, asks, drawing)
    for number in (0, 5, 11):
        assert together(generator, [asks[number]], [drawing[number]]) == [first[number]]
    same = [asks[0]] * 4
    assert len(set(together(generator, same, [Sampling(20, temperature=2.0) for _ in same]))) > 1


def test_a_stop_ends_the_answer_and_is_never_seen(answerer: Answerer, generator: Generator) -> None:
    one = ask(answerer, TAUGHT[1][0])
    for stop in ("<box>", "], ", "00]]", "t <b"):
        done, parts = Generated(one.prompt.tokens), []

        async def listen(stop: str = stop, done: Generated = done, parts: list[str] = parts) -> None:
            sampling = Sampling(LONGEST, stop=("never", stop), top_logprobs=2)
            parts += [part async for part in generator.answer(one, sampling, done, never)]

        asyncio.run(listen())
        text = "".join(parts)
        assert text == BOX_ANSWER.partition(stop)[0] and done.finish == "stop"
        assert "".join(row.text for row in done.logprobs).startswith(text)
        assert all(len(row.top) == 2 and row.top[0][1] >= row.logprob - 1e-5 for row in done.logprobs)


def test_an_answer_as_long_as_it_may_be_has_ended_and_a_longer_one_is_cut(
    answerer: Answerer, generator: Generator
) -> None:
    length = len(answerer.tokenizer.encode(BOX_ANSWER, add_special_tokens=False))
    for longest, finish in ((length, "stop"), (length - 1, "length")):
        one, done = ask(answerer, TAUGHT[1][0], longest=longest), Generated(0)
        text = asyncio.run(answered(generator, one, done=done))
        assert (done.answer_tokens, done.finish) == (longest, finish) and BOX_ANSWER.startswith(text)


def test_an_answer_is_json_of_its_schema_and_is_cut_at_its_longest(answerer: Answerer, generator: Generator) -> None:
    schema = {
        "type": "object",
        "properties": {"cover": {"enum": ["dense forest", "open water"]}, "boxes": {"type": "integer", "maximum": 99}},
        "required": ["cover", "boxes"],
        "additionalProperties": False,
    }
    asks = twenty(answerer, 6)
    samplings = [Sampling(LONGEST, json_schema=schema if n % 2 else None, temperature=n % 3, seed=n) for n in range(6)]
    for number, text in enumerate(together(generator, asks, samplings)):
        if number % 2:
            assert set(json.loads(text)) == {"cover", "boxes"}
    done = Generated(0)
    text = asyncio.run(answered(generator, asks[0], Sampling(5, json_schema=schema), done))
    assert done.finish == "length" and text.startswith('{"')
    with pytest.raises(RequestError, match="Invalid type: strin") as caught:
        generator.check(Sampling(5, json_schema={"type": "strin"}))
    assert (caught.value.status, caught.value.param) == (400, "response_format")


def test_the_next_turn_of_a_conversation_begins_where_the_one_before_ended(
    answerer: Answerer, generator: Generator
) -> None:
    forgetful = Generator(answerer, 4, 4, kept_mb=0)
    question, answer = TAUGHT[1]
    for number, shade in enumerate((0.2, 0.3)):
        first = ask(answerer, question, shade=shade)
        second = ask(answerer, question, (answer, ""), ("And what covers most of it?", ""), shade=shade)
        done, later = Generated(0), Generated(0)
        assert asyncio.run(answered(generator, first, done=done)) == answer
        # Another image with the same text shares what stands before it.
        assert done.cached_tokens < first.prompt.ids[0].index(answerer.model.config.image_token_id) + number
        text = asyncio.run(answered(generator, second, done=later))
        assert later.cached_tokens >= first.prompt.tokens
        assert text == asyncio.run(answered(forgetful, second))
    assert count(generator, "earthloom_cached_tokens_total") > 0 == count(forgetful, "earthloom_cached_tokens_total")
    forgetful.drain(1)


def test_experts_answer_one_after_the_other_with_stops_and_refuse_the_rest_by_name(tiny_moe_checkpoint: Path) -> None:
    answerer = Answerer(tiny_moe_checkpoint)
    generator = Generator(answerer, waiting=8, batch=4)
    caption = ask(answerer, MOE_TAUGHT[3][0])
    done = Generated(0)
    assert together(generator, [caption] * 3) == [CAPTION] * 3 and generator.engine.answers.rows == 1
    text = asyncio.run(answered(generator, caption, Sampling(LONGEST, stop=(" roads",)), done))
    assert text == CAPTION.partition(" roads")[0] and done.finish == "stop"
    length = len(answerer.tokenizer.encode(BOX_ANSWER, add_special_tokens=False))
    for longest, finish in ((length, "stop"), (length - 1, "length")):
        one, done = ask(answerer, MOE_TAUGHT[1][0], longest=longest), Generated(0)
        asyncio.run(answered(generator, one, done=done))
        assert done.finish == finish
    for name, more in (
        ("temperature", {"temperature": 0.5}),
        ("logprobs", {"top_logprobs": 0}),
        ("response_format", {"json_schema": {}}),
    ):
        with pytest.raises(RequestError, match="this model") as caught:
            generator.check(Sampling(5, **more))
        assert caught.value.param == name
    generator.drain(5)
