"""The clients that people use, against one server: what each adds to a request passes, and its answer is read."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

from tests.fixtures.image_files import L2A, reflectance, write
from tests.fixtures.tiny_checkpoint import BOX_ANSWER
from tests.tasks.serving.test_app import MODEL, part, user

pytestmark = pytest.mark.slow
COVER = "What covers most of this image?"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Twelve bands, as a part of a message."""
    return part(write(tmp_path_factory.mktemp("scene") / "scene.tif", reflectance(12), L2A))


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def sent(url: str, body: dict[str, Any]) -> httpx.Response:
    """A request form as a program sends it, that is not installed here."""
    answer = httpx.post(f"{url}/v1/chat/completions", json={"model": MODEL, **body}, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def test_openai_s_client_asks_side_by_side_and_in_a_conversation(url: str, scene: dict[str, Any]) -> None:
    async def ask() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            first = client.chat.completions.create(model=MODEL, messages=[user(COVER, scene)], n=None, tools=[])
            text = ""
            stream = await client.chat.completions.create(model=MODEL, messages=[user(COVER, scene)], stream=True)
            async for one in stream:
                text += one.choices[0].delta.content or ""
            answered = await first
            message = answered.choices[0].message.model_dump()
            later = await client.chat.completions.create(
                model=MODEL, messages=[user(COVER, scene), message, user("[refer] Where does the forest lie?")], seed=1
            )
            return [text, answered.choices[0].message.content, later.choices[0].message.content]

    streamed, whole, later = asyncio.run(ask())
    assert streamed == whole == "dense forest" and later


def test_32_clients_at_once_are_all_answered(url: str, scene: dict[str, Any]) -> None:
    async def ask() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300) as client:
            question = [user("[refer] Where does the forest lie?", scene)]
            answers = [client.chat.completions.create(model=MODEL, messages=question) for _ in range(32)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*answers)]

    assert asyncio.run(ask()) == [BOX_ANSWER] * 32


def test_openai_s_responses_are_read_whole_and_streamed(client: openai.OpenAI, scene: dict[str, Any]) -> None:
    parts: Any = [
        {"type": "input_text", "text": "[refer] Where does the forest lie?"},
        {"type": "input_image", "image_url": scene["image_url"]["url"], "detail": "auto"},
    ]
    asked: Any = [{"role": "user", "content": parts}]
    whole = client.responses.create(model=MODEL, input=asked, store=False)
    assert whole.output_text == BOX_ANSWER and whole.status == "completed" and whole.usage is not None
    assert whole.usage.output_tokens > 5 and whole.model_extra and whole.model_extra["boxes"]["features"]
    with client.responses.stream(model=MODEL, input=asked) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(deltas) == stream.get_final_response().output_text == BOX_ANSWER and len(deltas) > 5
    cut = client.responses.create(model=MODEL, input=asked, max_output_tokens=3)
    assert cut.status == "incomplete" and cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    again: Any = [*asked, *(one.model_dump() for one in whole.output), {"role": "user", "content": COVER}]
    assert client.responses.create(model=MODEL, input=again).output_text
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model=MODEL, input="More?", previous_response_id="resp_1")


def test_langchain_asks_and_streams(url: str, scene: dict[str, Any]) -> None:
    client = ChatOpenAI(model=MODEL, base_url=f"{url}/v1", api_key="none", temperature=0, max_retries=0)  # type: ignore[arg-type]
    image = {"type": "image", "base64": scene["image_url"]["url"].partition(",")[2], "mime_type": "image/tiff"}
    messages = [SystemMessage(""), HumanMessage([{"type": "text", "text": COVER}, image])]
    assert client.invoke(messages).text == "dense forest"
    assert "".join(one.text for one in client.stream(messages)) == "dense forest"
    assert asyncio.run(client.ainvoke(messages)).response_metadata["finish_reason"] == "stop"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_asks_from_a_file(url: str, scene: dict[str, Any], tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"model": MODEL, "messages": [user(COVER, scene)]}))
    command = ["curl", "-sS", "--fail-with-body", f"{url}/v1/chat/completions", "-d", f"@{body}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ended.stdout)["choices"][0]["message"]["content"] == "dense forest"


def test_the_forms_of_chat_pages_pass(url: str, scene: dict[str, Any]) -> None:
    """LibreChat 0.8 and Open WebUI 0.12: the text first, then the image; every knob of their panels at its default."""
    librechat = {
        "user": "65f0c0ffee", "temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0,
        "stop": None, "stream": True, "max_tokens": 4096,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": [{"type": "text", "text": COVER}, with_detail(scene, "auto")]},
        ],
    }  # fmt: skip
    lines = sent(url, librechat).text.strip().split("\n\n")
    assert lines[-1] == "data: [DONE]" and json.loads(lines[0][6:])["choices"][0]["delta"]["role"] == "assistant"
    last = json.loads(lines[-2][6:])
    assert last["choices"][0]["finish_reason"] and "max_tokens is 4096" in last["notes"][0]
    open_webui = {
        "stream": True, "stream_options": {"include_usage": True}, "logit_bias": None, "tools": None, "seed": 0,
        "messages": [{"role": "user", "content": [{"type": "text", "text": COVER}, scene]}],
    }  # fmt: skip
    lines = sent(url, open_webui).text.strip().split("\n\n")
    text = [json.loads(line[6:])["choices"] for line in lines[:-1]]
    assert "".join(choices[0]["delta"].get("content", "") for choices in text if choices) == "dense forest"


def test_the_forms_of_benchmark_programs_pass(url: str, scene: dict[str, Any], tmp_path: Path) -> None:
    """VLMEvalKit's `GPT4V` and lmms-eval's `openai`."""
    vlmevalkit = {
        "n": 1, "temperature": 0, "max_tokens": 2048,
        "messages": [{"role": "user", "content": [with_detail(scene, "high"), {"type": "text", "text": COVER}]}],
    }  # fmt: skip
    answer = sent(url, vlmevalkit).json()
    assert answer["choices"][0]["message"]["content"].strip() == "dense forest" and answer["usage"]["total_tokens"]
    lmms_eval = {
        "max_tokens": 16, "temperature": 0, "seed": 0, "stop": None,
        "messages": [{"role": "user", "content": [scene, {"type": "text", "text": COVER}]}],
    }  # fmt: skip
    assert sent(url, lmms_eval).json()["choices"][0]["message"]["content"] == "dense forest"


def with_detail(image: dict[str, Any], detail: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {**image["image_url"], "detail": detail}}


def test_low_detail_shows_fewer_tiles(client: openai.OpenAI, tmp_path: Path) -> None:
    large = part(write(tmp_path / "large.tif", reflectance(12, 64, 160), L2A))
    spent = {}
    for detail in ("low", "high"):
        answer = client.chat.completions.create(model=MODEL, messages=[user(COVER, with_detail(large, detail))])
        assert answer.usage is not None
        spent[detail] = answer.usage.prompt_tokens
    assert spent["low"] < spent["high"]


def test_what_is_honoured_changes_the_answer(client: openai.OpenAI, scene: dict[str, Any]) -> None:
    question: Any = [user("[refer] Where does the forest lie?", scene)]

    def ask(**more: Any) -> Any:
        return client.chat.completions.create(model=MODEL, messages=question, **more).choices[0]

    whole = ask(logprobs=True, top_logprobs=2)
    assert whole.message.content == BOX_ANSWER
    assert "".join(row.token for row in whole.logprobs.content).strip() == BOX_ANSWER
    assert all(row.logprob <= 0 and len(row.top_logprobs) == 2 for row in whole.logprobs.content)
    stopped = ask(stop=["]"])
    assert stopped.finish_reason == "stop" and "]" not in stopped.message.content
    assert BOX_ANSWER.startswith(stopped.message.content)
    length = len(whole.logprobs.content)
    assert ask(max_tokens=length).finish_reason == "stop" and ask(max_tokens=length - 1).finish_reason == "length"
    drawn = [ask(temperature=1.5, seed=seed).message.content for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1
