"""Models behind an OpenAI-compatible endpoint: our own server, and one that fails as servers do."""

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from PIL import Image

from tests.fixtures.serving import served
from tests.tasks.evaluation.runner.runs import evaluated, predictions, record_of, rsvqa

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Body = dict[str, Any]
Reply = Callable[[Body], tuple[int, dict[str, str], str]]
ASK = ("--benchmarks", "rsvqa-lr", "--model", "other")


@contextmanager
def serving(reply: Reply) -> Iterator[tuple[str, list[Body]]]:
    """(address, requests that came) of a server that answers as `reply` says: status, headers, text."""
    app, came = FastAPI(), list[Body]()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> JSONResponse:
        body = await request.json()
        came.append({**body, "authorization": request.headers.get("authorization")})
        status, headers, text = reply(body)
        if status != 200:
            return JSONResponse({"error": {"message": text}}, status, headers)
        message = {"role": "assistant", "content": text}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        completion = {"id": "1", "object": "chat.completion", "created": 0, "model": "other", "choices": choices}
        return JSONResponse({**completion, "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}})

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1", came
    finally:
        server.should_exit = True
        thread.join()


def question(body: Body) -> str:
    return next(part["text"] for part in body["messages"][0]["content"] if part["type"] == "text")


def pictures(body: Body) -> list[Image.Image]:
    urls = [part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def test_questions_go_as_png_and_plain_text_and_overloads_and_refusals_are_dealt_with(tmp_path: Path) -> None:
    rsvqa(tmp_path, images=3, each=4)
    seen: dict[str, int] = {}

    def reply(body: Body) -> tuple[int, dict[str, str], str]:
        text = question(body)
        seen[text] = seen.get(text, 0) + 1
        if len(seen) == 1 and seen[text] == 1:
            return 429, {"Retry-After": "0.1"}, "slow down"
        if "river" in text and not pictures(body):
            return 400, {}, "this is not allowed"
        return 200, {}, "yes" if "Is it" in text else "3"

    with serving(reply) as (url, came):
        finished = evaluated(
            tmp_path, tmp_path / "out", "--endpoint", url, *ASK, "--controls", "no-image", OPENAI_API_KEY="sk-hidden"
        )
    assert finished.returncode == 0, finished.stderr[-3000:]
    table, record = predictions(tmp_path / "out", "other", "rsvqa-lr"), record_of(tmp_path / "out", "other", "rsvqa-lr")
    assert table["answer"].to_list() == table["annotation"].to_list()
    assert table["prompt_tokens"].to_list() == [7] * 12
    assert "<image>" not in table["prompt"][0] and "[hr_rgb" not in table["prompt"][0]
    assert record["asked"]["model"] == "other" and "true colour" in record["asked"]["images"]
    assert record["controls"]["no-image"]["rejected"]["refused"] > 0 and record["rejected"] == {}
    assert pictures(came[0])[0].size in {(48, 40), (48, 41), (48, 42)} and pictures(came[0])[0].mode == "RGB"
    assert came[0]["authorization"] == "Bearer sk-hidden" and came[0]["temperature"] == 0
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"sk-hidden" not in everything and "sk-hidden" not in finished.stderr + finished.stdout


def test_a_server_that_fails_for_good_stops_the_run_and_the_same_command_goes_on(tmp_path: Path) -> None:
    rsvqa(tmp_path, images=5, each=20)
    answered = 0

    def reply(body: Body) -> tuple[int, dict[str, str], str]:
        nonlocal answered
        answered += 1
        return (200, {}, "yes") if answered <= 80 else (401, {}, "the key has ended")

    with serving(reply) as (url, _):
        stopped = evaluated(tmp_path, tmp_path / "out", "--endpoint", url, *ASK)
        assert stopped.returncode == 1 and "the key has ended" in stopped.stderr
        assert "same command goes on" in " ".join(stopped.stderr.split())
        answered = -100
    with serving(reply) as (url, came):
        assert evaluated(tmp_path, tmp_path / "out", "--endpoint", url, *ASK).returncode == 0
    assert len(came) == 36  # the first part of 64 was there
    assert len(predictions(tmp_path / "out", "other", "rsvqa-lr")) == 100


def test_a_server_that_refuses_everything_is_an_error_and_no_result(tmp_path: Path) -> None:
    rsvqa(tmp_path, images=2, each=20)
    with serving(lambda body: (400, {}, "max_completion_tokens is not known")) as (url, _):
        finished = evaluated(tmp_path, tmp_path / "out", "--endpoint", url, *ASK)
    assert finished.returncode == 1 and "max_completion_tokens is not known" in " ".join(finished.stderr.split())
    assert not (tmp_path / "out/other/rsvqa-lr/run.json").exists()


def test_our_own_server_gives_the_answers_of_the_checkpoint_it_serves(tmp_path: Path, pictures_model: Path) -> None:
    rsvqa(tmp_path, images=3, each=3)
    assert evaluated(tmp_path, tmp_path / "out", str(pictures_model), "--benchmarks", "rsvqa-lr").returncode == 0
    with served(pictures_model, "--threads", "1", "--waiting", "64") as address:
        words = ("--endpoint", f"{address}/v1", "--model", "earthdial", "--benchmarks", "rsvqa-lr")
        finished = evaluated(tmp_path, tmp_path / "out", *words, "--sensors", "--tags", "--boxes", "internvl")
    assert finished.returncode == 0, finished.stderr[-3000:]
    ours, theirs = (predictions(tmp_path / "out", name, "rsvqa-lr") for name in ("tiny", "earthdial"))
    assert theirs["answer"].to_list() == ours["answer"].to_list() and theirs["rejected"].null_count() == 9
    assert theirs["prompt_tokens"].to_list() == ours["prompt_tokens"].to_list()
