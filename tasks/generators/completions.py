"""What an OpenAI-compatible server sends: read by its bytes, since servers differ in more than they say."""

import json
from collections.abc import Mapping
from typing import Any

from tasks.generators.asks import Answer, AskError

_FILTERED = "content_filter"
_WHOLE = ("stop", "length", _FILTERED)


def answer_of(content: bytes) -> Answer:
    """The answer in the body of a `chat.completion`.

    Raises:
        AskError: it is none; an outage where a server or what stands before it failed in the guise of success.
    """
    body = _json(content)
    if "error" in body and not body.get("choices"):
        raise AskError("the server answers 200 with an error in it", is_outage=True)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise AskError("the answer has no choices", is_outage=True)
    choice = choices[0]
    message, finish = choice.get("message"), choice.get("finish_reason")
    if not isinstance(message, Mapping):
        raise AskError("the answer has no message", is_outage=True)
    prompt_tokens, completion_tokens = _usage(body.get("usage"))
    text = _text(message.get("content"))
    fault = ""
    if finish == _FILTERED:
        text, fault = "", "the server's filter ended the answer"
    elif isinstance(message.get("refusal"), str) and message["refusal"].strip():
        text, fault = "", "the model refused"
    elif finish not in _WHOLE and not text.strip():
        raise AskError(f"the server ended the answer as {finish!r}", is_outage=True)
    elif not text.strip() and any(message.get(key) for key in ("reasoning_content", "reasoning")):
        fault = "the server gives the answer as reasoning; start it without a reasoning parser, or give it more tokens"
    elif not text.strip():
        fault = "the answer is empty"
    return Answer(text, "length" if finish == "length" else "stop", fault, prompt_tokens, completion_tokens)


def models_of(content: bytes) -> list[tuple[str, str]]:
    """(name, what it was loaded from) of each model in the body of a list of models; the second may be empty.

    Raises:
        AskError: it is no such list.
    """
    rows = _json(content).get("data")
    if not isinstance(rows, list):
        raise AskError("its list of models is none")
    named = [row for row in rows if isinstance(row, Mapping)]
    return [(str(row.get("id", "")), str(row.get("root") or "")) for row in named]


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise AskError("the answer has half a character in it: its bytes are not UTF-8", is_outage=True) from error
    except (ValueError, RecursionError) as error:
        begins = content[:24].decode("ascii", "replace")
        raise AskError(f"the answer is not JSON; it begins with {begins!r}", is_outage=True) from error
    if not isinstance(body, Mapping):
        raise AskError("the answer is JSON, but no object", is_outage=True)
    return body


def _text(content: Any) -> str:
    """Content is a text, null, or a list of parts that have one."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _usage(usage: Any) -> tuple[int, int]:
    """Tokens of prompt and answer; zeros where the server counts none."""
    row = usage if isinstance(usage, Mapping) else {}
    counts = [row.get(key) for key in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (count if isinstance(count, int) and count > 0 else 0 for count in counts)
    return prompt, completion
