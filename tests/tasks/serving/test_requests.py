"""What a request may say: what changes an answer is honoured or refused by name, what says "as it is" passes."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.serving.errors import RequestError
from tasks.serving.fields import validated
from tasks.serving.messages import read_turns
from tasks.serving.request import ChatRequest
from tasks.serving.response_request import ResponseRequest
from tests.tasks.serving.test_app import user

PNG = "data:image/png;base64,iVBORw0KGgo="
ASKED = {"model": "m", "messages": [{"role": "user", "content": "What is it?"}]}


def chat(**more: Any) -> ChatRequest:
    return validated(ChatRequest, {**ASKED, **more})


def refusal(kind: Any = ChatRequest, **more: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        validated(kind, {**ASKED, **more}).asked(64)
    return caught.value


def turns(*messages: dict[str, Any]) -> list[tuple[str, int, str | None]]:
    read = read_turns(validated(ChatRequest, {"model": "m", "messages": list(messages)}).messages)
    return [(turn.question, len(turn.images), turn.answer) for turn in read.turns]


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
TEXT = {"type": "text", "text": "Where is it?"}


@pytest.mark.parametrize(
    "fields",
    [
        {"frequency_penalty": 0, "presence_penalty": 0.0, "n": 1, "stop": None, "logprobs": False},
        {"temperature": None, "top_p": None, "stream": None, "n": None, "response_format": None},
        {"tools": [], "functions": [], "function_call": "none", "logit_bias": {}, "modalities": ["text"]},
        {"store": False, "metadata": {}, "service_tier": "auto", "user": "u", "parallel_tool_calls": True},
        {"response_format": {"type": "text"}, "verbosity": "medium", "reasoning_effort": None, "prompt_cache_key": "k"},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"},
        {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "best_of": 1, "ignore_eos": False, "echo": False},
        {"logit_bias": None, "top_logprobs": None, "seed": None, "tools": None, "unheard_of": None},
        {"stream_options": {"include_usage": True, "include_obfuscation": False}, "stream": True},
        {"user": {"id": "1", "name": "someone"}, "metadata": {"trace": "7"}},
    ],
)  # fmt: skip
def test_what_says_as_it_is_passes(fields: dict[str, Any]) -> None:
    assert chat(**fields).asked(64) == chat().asked(64)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"store": True}, "store"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"top_k": 5}, "top_k"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"temperature": -0.1}, "temperature"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop.0"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"temprature": 0.5}, "temprature"),
        ({"messages": []}, "messages"),
        ({"messages": [said("tool", "42", tool_call_id="1")]}, "messages.0.role"),
        ({"messages": [said("user", "?"), said("assistant", None, tool_calls=[{"id": "1"}])]}, "messages.1.tool_calls"),
        ({"messages": [said("user", [{"type": "input_audio", "input_audio": {}}])]}, "messages.0.content.0"),
    ],
)
def test_what_would_change_the_answer_and_is_not_honoured_is_refused_by_its_name(
    fields: dict[str, Any], param: str
) -> None:
    error = refusal(**fields)
    assert error.status == 400 and error.param == param
    assert param.split(".")[-1] in str(error) or param.split(".")[0] in str(error)


def test_what_is_honoured_reaches_the_decoder() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [None, 1]}}, "default": None}
    asked = chat(
        stop="\n", seed=1, logprobs=True, top_logprobs=2, temperature=0.7, top_p=0.9, max_tokens=7,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}},
    ).asked(64)  # fmt: skip
    one = asked.sampling
    assert (one.stop, one.seed, one.top_logprobs, one.temperature, one.top_p, one.max_new_tokens) == (
        ("\n",), 1, 2, 0.7, 0.9, 7,
    )  # fmt: skip
    assert one.json_schema == schema and not asked.notes
    assert chat(response_format={"type": "json_object"}).asked(64).sampling.json_schema == {"type": "object"}
    assert chat(temperature=0.7, top_p=0).asked(64).sampling.temperature == 0


def test_an_answer_shorter_than_asked_for_is_noted() -> None:
    for field in ("max_tokens", "max_completion_tokens"):
        asked = chat(**{field: 5000}).asked(64)
        assert asked.sampling.max_new_tokens == 64
        assert asked.notes == (f"{field} is 5000, and an answer of this server has 64 tokens at most",)
    assert chat(max_tokens=3, max_completion_tokens=9).asked(64).sampling.max_new_tokens == 3


def test_roles_need_not_alternate_and_nothing_of_a_message_is_lost() -> None:
    question = said("user", "What is it?")
    assert turns(question, said("user", "And where?")) == [("What is it?\nAnd where?", 0, None)]
    assert turns(said("assistant", "Hello"), question) == [("", 0, "Hello"), ("What is it?", 0, None)]
    assert turns(question, said("assistant", "Water"), said("assistant", "and forest"), question) == [
        ("What is it?", 0, "Water\nand forest"),
        ("What is it?", 0, None),
    ]
    assert turns(question, said("assistant", None), said("user", "Well?")) == [("What is it?\nWell?", 0, None)]
    assert turns(said("user", [IMAGE]), said("user", "What is it?")) == [("What is it?", 1, None)]
    assert turns(question, said("assistant", None, refusal="I may not."), question)[0][2] == "I may not."


def test_system_messages_are_one_prompt_wherever_they_stand_and_an_empty_one_says_nothing() -> None:
    messages = [
        said("system", "Be brief."),
        said("user", "?"),
        said("developer", [{"type": "text", "text": "In Latin."}]),
    ]
    assert read_turns(chat(messages=messages).messages).system == "Be brief.\nIn Latin."
    assert read_turns(chat(messages=[said("system", ""), *ASKED["messages"]]).messages).system is None


def test_text_between_images_stays_between_them() -> None:
    def text(words: str) -> dict[str, Any]:
        return {"type": "text", "text": words}

    assert turns(said("user", [TEXT, IMAGE])) == turns(said("user", [IMAGE, TEXT])) == [("Where is it?", 1, None)]
    mixed = [text("Before:"), IMAGE, text("after:"), IMAGE, text("What changed?")]
    assert turns(said("user", mixed)) == [("Before:\n<image>\nafter:\n<image>\nWhat changed?", 2, None)]
    placed = [IMAGE, text("<image> What is it?"), IMAGE, text("<image> And that?")]
    assert turns(said("user", placed)) == [("<image> What is it?\n<image> And that?", 2, None)]


@pytest.mark.parametrize(
    "more",
    [
        {"refusal": None, "tool_calls": None, "function_call": None, "audio": None, "annotations": None},
        {"refusal": None, "tool_calls": [], "annotations": [], "reasoning_content": "hm", "name": "a"},
    ],
)
def test_an_assistant_message_may_come_back_as_a_client_dumps_it(more: dict[str, Any]) -> None:
    question = said("user", "What is it?")
    assert turns(question, said("assistant", "Water", **more), question)[0] == ("What is it?", 0, "Water")


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([said("user", "?"), said("assistant", "Water")], "invalid_messages"),
        ([said("system", "Be brief.")], "invalid_messages"),
        ([said("user", None)], "empty_message"),
        ([said("user", [IMAGE])], "empty_message"),
        ([said("system", [IMAGE]), said("user", "?")], "invalid_messages"),
    ],
)
def test_a_conversation_without_a_question_is_refused(messages: list[Any], code: str) -> None:
    assert refusal(messages=messages).code == code


BYTES = b"\x89PNG\r\n\x1a\n\xfb\xff\xfe"
BASE64 = base64.b64encode(BYTES).decode()


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/jpg;base64,{BASE64}",
        f"data:IMAGE/PNG;BASE64,{BASE64}",
        f"DATA:image/webp;charset=utf-8;base64,{BASE64}",
        f"data:image/gif;name=a%20b.gif;base64,{BASE64}",
        f"data:image/tif;base64,\n{BASE64[:8]}\r\n{BASE64[8:]}\n",
        f"  data:;base64,{BASE64}",
        f"data:application/octet-stream;base64,{BASE64.rstrip('=')}",
        f"data:image/png; base64,{BASE64}",
        f"data:image/png;base64,{base64.urlsafe_b64encode(BYTES).decode()}",
        f"data:image/png;base64,{BASE64.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}",
    ],
)
def test_every_usual_spelling_of_a_data_url_is_read(url: str) -> None:
    for image in ({"type": "image_url", "image_url": {"url": url}}, {"type": "image_url", "image_url": url}):
        (turn,) = read_turns(chat(messages=[said("user", [image, TEXT])]).messages).turns
        assert turn.images[0].content == BYTES


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.org/a.png", "invalid_image_url"),
        ("/etc/passwd", "invalid_image_url"),
        ("data:text/html;base64,AAAA", "invalid_image_url"),
        ("data:image/svg+xml;base64,AAAA", "invalid_image_url"),
        ("data:image/png,AAAA", "invalid_image_url"),
        ("data:image/png;base64,@@@@", "invalid_image"),
        ("data:image/png;base64,AAAAA", "invalid_image"),
    ],
)
def test_what_is_no_data_url_of_a_picture_is_refused(url: str, code: str) -> None:
    error = refusal(messages=[said("user", [{"type": "image_url", "image_url": {"url": url}}, TEXT])])
    assert (error.code, error.param) == (code, "messages.0.content.0")


def test_the_responses_api_asks_the_same() -> None:
    parts = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": PNG, "detail": "auto"}]
    body = {
        "model": "m", "instructions": "Be brief.", "max_output_tokens": 9, "stream": False, "store": False,
        "text": {"format": {"type": "text"}, "verbosity": "medium"}, "reasoning": None, "tools": [], "truncation": None,
        "input": [{"type": "message", "role": "developer", "content": "In Latin."}, said("user", parts)],
    }  # fmt: skip
    asked = validated(ResponseRequest, body).asked(64)
    assert asked.chat.system == "Be brief.\nIn Latin." and asked.sampling.max_new_tokens == 9
    assert [(turn.question, len(turn.images)) for turn in asked.chat.turns] == [("What is it?", 1)]
    assert validated(ResponseRequest, {"model": "m", "input": "Hello"}).asked(64).chat.turns[0].question == "Hello"
    kept: Any = {"messages": None, "input": "Hello"}
    for field, value in (("previous_response_id", "resp_1"), ("store", True), ("background", True), ("n", 2)):
        assert refusal(ResponseRequest, **kept, **{field: value}).param == field


def test_numbers_and_letters_that_are_none_are_refused(url: str) -> None:
    address = f"{url}/v1/chat/completions"
    head = b'{"model": "earthdial", "messages": [{"role": "user", "content": "'
    for body in (
        head + b'?"}], "temperature": NaN}',
        head + b'\\ud83d"}]}',
        head + b"\xff" + b'"}]}',
        b"[" * 100_000,
    ):
        answer = httpx.post(address, content=body, trust_env=False)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json"), body[-40:]
    wrong = json.dumps({"model": "\U0001f30d", "messages": [user("What is it?")]})
    assert httpx.post(address, content=wrong, trust_env=False).status_code == 404


def test_routes_answer_with_the_right_status_and_the_field_at_fault(url: str, tmp_path: Path) -> None:
    assert httpx.get(f"{url}/v1/models/earthdial", trust_env=False).json()["id"] == "earthdial"
    missing = httpx.get(f"{url}/v1/models/gpt-5", trust_env=False)
    assert missing.status_code == 404 and missing.json()["error"]["param"] == "model"
    method = httpx.get(f"{url}/v1/chat/completions", trust_env=False)
    assert method.status_code == 405 and method.json()["error"]["code"] == "method_not_allowed"
    nothing = httpx.post(f"{url}/v1/chat/completions", json={"messages": []}, trust_env=False).json()["error"]
    assert nothing["param"] == "model" and nothing["type"] == "invalid_request_error"
    assert httpx.post(f"{url}/v1/embeddings", json={}, trust_env=False).status_code == 404
