"""A model behind a server, whatever it and its server do: every chip gets its pairs or a row that says why not."""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from tasks.core.errors import GenerationError
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import SUPPORTED, Written
from tasks.generators.params import ModelParams
from tasks.generators.served import ServedGenerator
from tests.fixtures.model_params import chip, model_params, truthful
from tests.fixtures.model_server import (
    MODEL,
    Habits,
    Speak,
    completion,
    cut_off,
    elsewhere,
    endless,
    pairs_text,
    serve_model,
    too_many,
)  # fmt: skip

GOOD = pairs_text(("Is there tree cover?", "Yes."), ("Is there water?", "No."))


def generator(params: ModelParams, **changes: Any) -> ServedGenerator:
    settings = {"count": lambda _: 2, "show": lambda _: (), "give": lambda *_: (), **changes}
    return ServedGenerator(params, 7, **settings)


def write(params: ModelParams, count: int = 3, **changes: Any) -> list[Written]:
    return list(generator(params, **changes).generate((chip(n) for n in range(count)), truthful))


def answered(
    tmp_path: Path, speak: Speak, count: int = 1, habits: Habits | None = None, **changes: Any
) -> list[Written]:
    with serve_model(speak, habits) as server:
        return write(model_params(tmp_path, server.url, **changes), count)


def supported(written: Written) -> int:
    return sum(one.verdict.state == SUPPORTED for one in written.judged)


def test_pairs_come_in_the_order_of_the_chips_however_often_each_is_asked(tmp_path: Path) -> None:
    def speak(body: dict[str, Any], _: int) -> str:
        again = "These pairs are wrong" in body["messages"][1]["content"]
        return GOOD if again or body["seed"] % 3 else pairs_text(("Is there tree cover?", "No, a lie."))

    with serve_model(speak, Habits(wait=0.01)) as server:
        written = write(model_params(tmp_path, server.url), 40)
    assert [one.chip_id for one in written] == [f"chip-{n:03d}" for n in range(40)]
    assert all(supported(one) == 2 and not one.failures for one in written)
    assert {one.usage.asks for one in written} == {1, 2}
    assert all(one.usage.prompt_tokens == 100 * one.usage.asks for one in written)


def test_no_more_requests_are_under_way_than_there_are_slots_and_chips_are_taken_as_they_are_needed(
    tmp_path: Path,
) -> None:
    taken = 0

    def chips() -> Iterator[ChipFacts]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield chip(number)

    with serve_model(lambda *_: GOOD, Habits(wait=0.005)) as server:
        pairs = generator(model_params(tmp_path, server.url)).generate(chips(), truthful)
        next(pairs)
        assert taken <= 16
        assert sum(1 for _ in pairs) == 199
        assert server.record.most_at_once == 4


def test_the_answers_format_is_held_to_a_schema_only_where_the_server_really_does_it(tmp_path: Path) -> None:
    for habit in ("held", "refused", "ignored", "broken"):
        with serve_model(lambda *_: GOOD, Habits(schema=habit)) as server:
            (one,) = write(model_params(tmp_path / habit, server.url), 1)
        assert supported(one) == 2
        assert ("response_format" in server.record.asked[0]) == (habit == "held")


def test_the_bound_of_an_answer_has_the_name_that_the_server_heeds(tmp_path: Path) -> None:
    for habit, name in (("both", "max_completion_tokens"), ("old", "max_tokens")):
        with serve_model(lambda *_: GOOD, Habits(limit=habit)) as server:
            write(model_params(tmp_path / habit, server.url), 1)
        assert server.record.asked[0][name] == 1024


def test_a_contradicted_pair_is_asked_again_with_its_reason_and_stays_rejected_in_the_end(
    tmp_path: Path,
) -> None:
    lie = pairs_text(("Is there tree cover?", "Yes."), ("Is there water?", "Yes, a lie."))
    with serve_model(lambda *_: lie) as server:
        (one,) = write(model_params(tmp_path, server.url), 1)
    assert one.usage.asks == 5 == len(server.record.asked)
    assert [judged.attempt for judged in one.judged] == [1, 1, 2, 3, 4, 5]
    assert "it is a lie" in server.record.asked[1]["messages"][1]["content"]
    assert "it is a lie" not in server.record.asked[0]["messages"][1]["content"]
    assert len({body["seed"] for body in server.record.asked}) == 5


def test_an_answer_that_was_cut_keeps_its_whole_pairs_and_is_asked_again_with_more_tokens(tmp_path: Path) -> None:
    half = GOOD[: GOOD.index("Is there water") + 5]
    written = answered(tmp_path, lambda body, n: completion(half, "length") if n == 0 else GOOD, max_tokens=100)
    (one,) = written
    assert supported(one) == 2 and one.usage.asks == 2
    assert one.failures == ("ask 1: the answer was cut after 20 tokens",)
    with serve_model(lambda *_: completion(half[:30], "length")) as server:
        write(model_params(tmp_path / "ever", server.url, max_tokens=100, longest_tokens=300), 1)
    assert [body["max_completion_tokens"] for body in server.record.asked] == [100, 200, 300, 300, 300]


def test_an_answer_that_ran_off_in_white_space_is_not_given_more_tokens(tmp_path: Path) -> None:
    with serve_model(lambda *_: completion('{"pairs": ' + " \n" * 500, "length")) as server:
        write(model_params(tmp_path, server.url, max_tokens=100), 1)
    assert {body["max_completion_tokens"] for body in server.record.asked} == {100}


SPOILED: dict[str, tuple[Any, str]] = {
    "refused": (completion(None, refusal="I can't help with that."), "the model refused"),
    "refused-in-words": ("I'm sorry, but I cannot assist with that.", "the model refused"),
    "filtered": (completion("", "content_filter"), "the server's filter ended the answer"),
    "null": (completion(None), "the answer is empty"),
    "out-of-memory": (completion(""), "the answer is empty"),
    "as-reasoning": (completion(None, reasoning_content=GOOD), "the server gives the answer as reasoning"),
    "still-thinking": ("<think>The labels say", "the model was still thinking"),
    "no-json": ("There are trees in this image.", "the answer holds no question and answer"),
    "malformed": ('{"pairs": [{"question": "Is there water?", "answer": No}]}', "the answer holds no question"),
    "wrong-types": ('{"pairs": [{"question": "How many?", "answer": 3}]}', "the answer of a pair is no text but int"),
    "half-a-character": (pairs_text(("Is there a café?", "No caf\ufffd")), "the answer of a pair has half a character"),
    "half-a-surrogate": ('{"pairs": [{"question": "Is it?", "answer": "\\ud83d"}]}', "has half a character"),
    "another-language": (pairs_text(("图中有树木吗?", "有")), "the question of a pair is not in English"),
    "control-token": (pairs_text(("<image>\nIs there water?", "No")), "holds the control token <image>"),
}  # fmt: skip


@pytest.mark.parametrize("habit", SPOILED)
def test_an_answer_that_is_none_is_counted_with_its_reason_and_asked_again(habit: str, tmp_path: Path) -> None:
    spoiled, reason = SPOILED[habit]
    written = answered(tmp_path, lambda _, number: spoiled if number == 0 else GOOD, 2, in_flight=1)
    assert [supported(one) for one in written] == [2, 2]
    assert reason in written[0].failures[0] and written[1].failures == ()
    assert [one.usage.asks for one in written] == [2, 1]


PASSING: dict[str, Any] = {
    "429": lambda: too_many(),
    "429-by-date": lambda: too_many("Fri, 27 Nov 2026 00:00:00 GMT"),
    "429-in-no-form": lambda: too_many("soon"),
    "502-page": lambda: HTMLResponse("<html>bad gateway</html>", 502),
    "200-page": lambda: HTMLResponse("<html>one moment</html>"),
    "200-error": lambda: JSONResponse({"object": "error", "error": {"message": "engine is dead"}}),
    "no-choices": lambda: JSONResponse({**completion(GOOD), "choices": []}),
    "abort": lambda: JSONResponse(completion("", "abort")),
    "cut-off": lambda: cut_off(GOOD),
    "half-utf-8": lambda: Response(json.dumps(completion("é"), ensure_ascii=False).encode()[:-80]),
}


@pytest.mark.parametrize("habit", PASSING)
def test_what_may_pass_is_waited_for_and_no_pair_is_lost(habit: str, tmp_path: Path) -> None:
    written = answered(tmp_path, lambda _, number: PASSING[habit]() if number % 3 == 0 else GOOD, 4)
    assert [(supported(one), one.failures) for one in written] == [(2, ())] * 4


def test_a_storm_of_429_ends_the_stage_which_goes_on_where_it_was(tmp_path: Path) -> None:
    def stormy(_: Any, number: int) -> Any:
        return GOOD if number < 6 else too_many()

    with serve_model(stormy) as server:
        params = model_params(tmp_path, server.url)
        with pytest.raises(GenerationError, match=r"failed 4 asks in a row, the last: 429, slow down \(3 tries\)"):
            write(params, 20)
    with serve_model(lambda *_: GOOD) as server:
        written = write(model_params(tmp_path, server.url), 20)
    assert len(server.record.asked) == 14
    assert sum(map(supported, written)) == 40


def test_a_pause_that_a_server_asks_for_is_bounded(tmp_path: Path) -> None:
    written = answered(tmp_path, lambda _, n: too_many("86400") if n == 0 else GOOD, max_wait=0.2)
    assert supported(written[0]) == 2


def test_a_server_that_goes_down_half_way_ends_the_stage_and_what_it_said_is_kept(
    tmp_path: Path,
) -> None:
    with serve_model(lambda *_: GOOD, Habits(wait=0.01)) as server:
        pairs = generator(model_params(tmp_path, server.url, max_wait=0.5)).generate(
            (chip(n) for n in range(60)), truthful
        )
        next(pairs)
        server.stop()
        with pytest.raises(GenerationError, match="in a row, the last: no answer"):
            list(pairs)
        said = len(server.record.asked)
    with serve_model(lambda *_: GOOD) as back:
        written = write(model_params(tmp_path, back.url), 60)
    assert sum(map(supported, written)) == 120
    assert len(back.record.asked) >= 60 - said and len(back.record.asked) < 60


def test_one_chip_that_the_server_cannot_bear_costs_no_other(tmp_path: Path) -> None:
    def choosy(body: dict[str, Any], _: int) -> Any:
        return Response("Internal Server Error", 500) if "poison" in json.dumps(body) else GOOD

    with serve_model(choosy) as server:
        chips = [chip(0), chip(1, "poison"), chip(2)]
        written = list(generator(model_params(tmp_path, server.url, max_wait=0.3)).generate(chips, truthful))
    assert [supported(one) for one in written] == [2, 0, 2]
    assert len(written[1].failures) == 1 and written[1].failures[0].startswith("ask 1: 500")


def test_an_answer_of_ten_megabytes_is_not_read(tmp_path: Path) -> None:
    (one,) = answered(tmp_path, lambda *_: endless(10_000_000), max_asks=1)
    assert one.failures == ("ask 1: the answer is longer than the 2,000,000 bytes that are read",)
    (one,) = answered(tmp_path / "said", lambda *_: Response(b" " * 10_000_000), max_asks=1)
    assert "of 10,000,000 bytes" in one.failures[0]
    packed = Response(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    (one,) = answered(tmp_path / "packed", lambda *_: packed, max_asks=1)
    assert "the answer is packed" in one.failures[0]


def test_a_request_and_a_chip_have_deadlines(tmp_path: Path) -> None:
    (one,) = answered(tmp_path, lambda *_: GOOD, habits=Habits(wait=30), request_seconds=0.2, max_wait=0.1)
    assert "no answer within 0.2 s" in one.failures[0]
    (one,) = answered(tmp_path, lambda *_: GOOD, habits=Habits(wait=30), chip_seconds=0.3)
    assert one.failures == ("ask 1: deadline: the chip's asks took longer than 0.3 s",)


def test_a_chip_of_which_nothing_is_known_is_not_asked_about(tmp_path: Path) -> None:
    bare = ChipFacts("bare", "sentinel-2", (), {}, side=640.0)
    unlabelled = replace(bare, chip_id="unlabelled", country="Germany")
    with serve_model(lambda *_: GOOD) as server:
        first, second = generator(model_params(tmp_path, server.url)).generate([bare, unlabelled], truthful)
    assert first.failures == ("nothing is known of the chip: there is nothing to ask",) and first.usage.asks == 0
    assert second.usage.asks == 1 == len(server.record.asked)


def test_a_budget_stops_the_asking_and_a_larger_one_goes_on_where_it_was(tmp_path: Path) -> None:
    with serve_model(lambda *_: GOOD) as server:
        small = {"budget": {"tokens": 20_000, "cost": None}, "in_flight": 1, "max_tokens": 100}
        written = write(model_params(tmp_path, server.url, **small), 200)
        left = [one for one in written if not one.judged]
        assert 0 < len(left) < 200 and all("budget" in one.failures[0] for one in left)
        spent = sum(one.usage.prompt_tokens + one.usage.completion_tokens for one in written)
        assert 15_000 < spent <= 20_000
        before = len(server.record.asked)
        again = write(model_params(tmp_path, server.url, in_flight=1, max_tokens=100), 200)
        assert len(server.record.asked) == 200 == before + len(left)
    assert all(supported(one) == 2 for one in again)


def test_cost_is_counted_by_the_prices_and_bounds_a_run(tmp_path: Path) -> None:
    prices = {"prompt": 1.0, "completion": 10.0}
    (one,) = answered(tmp_path, lambda *_: GOOD, prices=prices)
    assert one.usage.cost == pytest.approx((100 * 1 + 20 * 10) / 1e6)
    limit = {"tokens": None, "cost": 0.02}
    written = answered(tmp_path / "few", lambda *_: GOOD, 100, prices=prices, budget=limit, in_flight=2)
    assert 0 < sum(one.usage.cost for one in written) <= 0.02
    assert any("budget" in one.failures[0] for one in written if one.failures)


def test_a_warm_cache_asks_no_model_and_two_runs_give_the_same(tmp_path: Path) -> None:
    with serve_model(lambda _, number: pairs_text((f"Is there water? {number}", "No."))) as server:
        params = model_params(tmp_path, server.url)
        first = write(params, 30)
    assert write(params, 30) == first  # the server is down


def test_where_one_percent_of_the_chips_changed_as_few_are_asked_again(tmp_path: Path) -> None:
    with serve_model(lambda *_: GOOD) as server:
        params = model_params(tmp_path, server.url, in_flight=16)
        chips = [chip(n) for n in range(200)]
        list(generator(params).generate(chips, truthful))
        chips[17], chips[99] = chip(17, "wetland"), chip(99, "wetland")
        list(generator(params).generate(chips, truthful))
        assert len(server.record.asked) == 202


def test_what_an_answer_depends_on_is_asked_anew_when_it_changes(tmp_path: Path) -> None:
    with serve_model(lambda *_: GOOD) as server:
        changes: list[dict[str, Any]] = [
            {},
            {"temperature": 0.1},
            {"revision": "b"},
            {"max_tokens": 99},
            {"top_p": 0.5},
        ]
        for change in changes:
            write(model_params(tmp_path, server.url, **change), 1)
        other = ServedGenerator(model_params(tmp_path, server.url), 8, lambda _: 2, lambda _: (), lambda *_: ())
        list(other.generate([chip(0)], truthful))
        assert len(server.record.asked) == len(changes) + 1
        write(model_params(tmp_path, server.url, in_flight=9, max_wait=1.0), 1)
        assert len(server.record.asked) == len(changes) + 1


def test_the_key_is_taken_from_the_environment_and_stands_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("EARTHLOOM_MODEL_KEY", "sk-right-4711")
    (one,) = answered(tmp_path, lambda *_: GOOD, habits=Habits(key="sk-right-4711"))
    assert supported(one) == 2
    monkeypatch.setenv("EARTHLOOM_MODEL_KEY", "sk-wrong-0815")
    with pytest.raises(GenerationError, match="EARTHLOOM_MODEL_KEY") as refused:
        answered(tmp_path / "wrong", lambda *_: GOOD, habits=Habits(key="sk-right-4711"))
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (str(refused.value), caplog.text, files.decode("latin-1")):
        assert "4711" not in text and "0815" not in text


def test_a_server_that_echoes_the_key_in_an_error_does_not_get_it_into_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHLOOM_MODEL_KEY", "hush-hush-0815")
    bad = {"error": {"message": "bad request by hush-hush-0815 and sk-ab***yz", "code": "x"}}
    (one,) = answered(tmp_path, lambda *_: JSONResponse(bad, 400), max_asks=1)
    assert one.failures == ("ask 1: the server refuses the request: 400, bad request by ... and ...",)


def test_a_redirect_is_not_followed_and_no_quota_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="redirects elsewhere"):
        answered(tmp_path, lambda *_: elsewhere())
    with pytest.raises(GenerationError, match="no quota left"):
        answered(tmp_path / "quota", lambda *_: too_many(code="insufficient_quota"))


def test_a_server_that_is_not_there_or_does_not_serve_the_model_is_named_at_start(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"model server at http://127.0.0.1/v1 cannot be used: no answer"):
        write(model_params(tmp_path, "http://127.0.0.1:9/v1", max_wait=0.1), 1)
    with pytest.raises(GenerationError, match=r"does not serve 'Other' .* but Test/Model-1B"):
        answered(tmp_path, lambda *_: GOOD, name="Other")
    (one,) = answered(tmp_path, lambda *_: GOOD, habits=Habits(models=None))
    assert supported(one) == 2


def test_an_error_of_the_judge_or_of_a_chip_is_raised_and_leaves_nothing_running(tmp_path: Path) -> None:
    def broken() -> Iterator[ChipFacts]:
        yield chip(0)
        raise ValueError("the table ends here")

    with serve_model(lambda *_: GOOD) as server:
        pairs = generator(model_params(tmp_path, server.url)).generate(broken(), truthful)
        with pytest.raises(ValueError, match="ends here"):
            list(pairs)
        pairs = generator(model_params(tmp_path, server.url)).generate([chip(1)], lambda *_: 1 / 0)  # type: ignore[arg-type, return-value]
        with pytest.raises(ZeroDivisionError):
            list(pairs)
    assert not [thread for thread in threading.enumerate() if thread.name == "asks"]


XCOMPOSER = "internlm/internlm-xcomposer2-vl-7b"


def test_internlm_is_asked_as_lmdeploy_0_7_3_wants_it(tmp_path: Path) -> None:
    habits = Habits(schema="refused", limit="old", models=[{"id": XCOMPOSER}])
    said = f"{GOOD}[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]user\nQ: What next?\nA: Nothing"
    with serve_model(lambda *_: said, habits) as server:
        params = model_params(tmp_path, server.url, name=XCOMPOSER, server_version="0.7.3")
        (one,) = write(params, 1, is_internlm=True)
    (asked,) = server.record.asked
    assert supported(one) == 2 and len(one.judged) == 2
    assert asked["max_tokens"] == 1024 and not {"response_format", "max_completion_tokens"} & set(asked)
    assert server.record.probes == []


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (None, "is missing"),
        ("0.8.0", "LoRA"),
        ("0.12.1", "LoRA"),
        ("0.3.0", "not know"),
        ("latest", "no released"),
    ],
)
def test_internlm_behind_a_version_that_would_answer_wrongly_is_refused(
    version: str | None, reason: str, tmp_path: Path
) -> None:
    params = model_params(tmp_path, "http://127.0.0.1:9/v1", name=XCOMPOSER, server_version=version)
    with pytest.raises(GenerationError, match=reason):
        generator(params, is_internlm=True)


def test_an_xcomposer2_under_any_name_is_not_asked_as_a_current_model(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"qa\.generator to internlm"):
        generator(model_params(tmp_path, "http://127.0.0.1:9/v1", name=XCOMPOSER))
    aliased = Habits(models=[{"id": MODEL, "root": "/models/internlm-xcomposer2-4khd-7b"}])
    with pytest.raises(GenerationError, match=r"qa\.generator to internlm"):
        answered(tmp_path, lambda *_: GOOD, habits=aliased)
