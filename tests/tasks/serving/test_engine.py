"""The engine behind the endpoint: many clients at once, and none in another's way."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import torch

from tasks.serving.engine import StoppedError
from tasks.serving.errors import BusyError, RequestError
from tasks.serving.generation import Generated, Generator, Sampling
from tasks.vlm.answerer import Answerer
from tests.fixtures.asking import alone, answered, ask, count, never, together, twenty
from tests.fixtures.tiny_checkpoint import BOX_ANSWER, TAUGHT


def test_thirty_two_clients_at_once_get_the_answers_they_get_alone(answerer: Answerer, generator: Generator) -> None:
    asks = twenty(answerer, 32)
    expected = [alone(answerer, one) for one in asks]
    assert [text.strip() for text in together(generator, asks)] == expected
    assert set(expected) >= {answer for _, answer in TAUGHT[:2]} and generator.inside == 0
    assert count(generator, "earthloom_requests_total", outcome="finished") == 32
    assert count(generator, "earthloom_requests_begun_total") == 32
    assert count(generator, "earthloom_first_token_seconds_count") == count(generator, "earthloom_answer_seconds_count")
    assert count(generator, "earthloom_answer_tokens_total") > 64
    assert count(generator, "earthloom_rows_in_use") == 0 == count(generator, "earthloom_requests_waiting")


def test_whoever_leaves_gives_the_row_and_the_place_back(answerer: Answerer) -> None:
    generator = Generator(answerer, waiting=2, batch=1)
    held = ask(answerer, TAUGHT[1][0], longest=300)

    async def leaving() -> bool:
        return True

    async def clients() -> None:
        async with generator.place():
            endless = Sampling(300, temperature=50.0, seed=1)  # of noise, which hardly ends
            running = generator.answer(held, endless, Generated(0), never)
            await anext(running)
            waiting = [asyncio.create_task(answered(generator, held, gone=leaving)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await answered(generator, held)
            assert await asyncio.gather(*waiting) == ["", ""]  # while the first still runs
            await running.aclose()
        assert await answered(generator, ask(answerer, TAUGHT[0][0])) == TAUGHT[0][1]

    asyncio.run(clients())
    assert count(generator, "earthloom_requests_total", outcome="cancelled") == 3
    assert count(generator, "earthloom_requests_total", outcome="refused") == 1
    generator.drain(5)


def test_a_question_that_fails_leaves_the_others_their_answers(answerer: Answerer, generator: Generator) -> None:
    asks = twenty(answerer, 9)
    pixels = asks[3].images["pixel_values"]
    asks[3] = replace(asks[3], images={**asks[3].images, "pixel_values": torch.full_like(pixels, torch.nan)})
    asks[5] = replace(asks[5], images={**asks[5].images, "pixel_values": pixels[:, :, :50, :30]})

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(answered(generator, one) for one in asks), return_exceptions=True)

    found = asyncio.run(all_of_them())
    for number, text in enumerate(found):
        if number in (3, 5):
            assert isinstance(text, RequestError) and text.status == 500 and "the model failed" in str(text)
        else:
            assert text.strip() == alone(answerer, asks[number])
    assert generator.alive and count(generator, "earthloom_requests_total", outcome="failed") == 2


def test_a_server_that_shuts_down_answers_those_it_took_and_no_more(answerer: Answerer) -> None:
    generator = Generator(answerer, waiting=8, batch=2)

    async def clients() -> list[Any]:
        asked = [asyncio.create_task(answered(generator, one)) for one in twenty(answerer, 5)]
        while count(generator, "earthloom_requests_begun_total") < 5:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(generator.drain, 60)
        with pytest.raises(StoppedError, match="shutting down"):
            await answered(generator, twenty(answerer, 1)[0])
        return await asyncio.gather(*asked)

    assert BOX_ANSWER in asyncio.run(clients()) and not generator.alive


def test_those_that_take_too_long_when_it_shuts_down_are_cut_with_an_error(answerer: Answerer) -> None:
    generator = Generator(answerer, waiting=8, batch=1)
    endless = Sampling(300, temperature=50.0, seed=1)

    async def clients() -> list[Any]:
        held = ask(answerer, TAUGHT[1][0], longest=300)
        asked = [asyncio.create_task(answered(generator, held, endless)) for _ in range(3)]
        while count(generator, "earthloom_rows_in_use") == 0:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(generator.drain, 0)
        return await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(one, StoppedError) and one.status == 503 for one in asyncio.run(clients())[1:])


def test_a_dead_thread_is_noticed_and_nobody_waits_for_it(answerer: Answerer) -> None:
    generator = Generator(answerer, waiting=8, batch=1)

    class Deadly(dict[str, Any]):
        """What ends a thread: no failure of one question."""

        def __getitem__(self, key: str) -> Any:
            raise SystemExit(3)

    async def clients() -> None:
        held = ask(answerer, TAUGHT[1][0])
        deadly = replace(held, images=held.images)
        prepared = generator.engine.answers.prepare(deadly, Sampling(5))
        prompt = replace(prepared.prompt, images=Deadly(prepared.prompt.images))
        running = asyncio.create_task(answered(generator, held))
        generator.engine.submit(replace(prepared, prompt=prompt), 1, lambda _: None)
        waiting = asyncio.create_task(answered(generator, held))
        found = await asyncio.gather(running, waiting, return_exceptions=True)
        assert any(isinstance(one, StoppedError) and one.status == 503 for one in found)
        with pytest.raises(StoppedError, match="must be started again"):
            await answered(generator, held)

    asyncio.run(clients())
    assert not generator.alive
    generator.drain(1)
