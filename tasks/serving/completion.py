"""Answers as OpenAI's own types, so that their form is right by construction; boxes as one field more."""

import time
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tasks.serving.generation import Generated

Boxes = dict[str, Any]
"""A GeoJSON FeatureCollection."""


def usage(done: Generated) -> dict[str, int]:
    """OpenAI's count of tokens."""
    both = done.prompt_tokens + done.answer_tokens
    return {"prompt_tokens": done.prompt_tokens, "completion_tokens": done.answer_tokens, "total_tokens": both}


def completion(
    name: str, model: str, answer: str, done: Generated, boxes: Boxes | None, outside: bool = False
) -> dict[str, Any]:
    """A whole answer, as `chat.completion`; `outside_limits` where it is the model's limits instead of one."""
    body = ChatCompletion.model_validate(
        {
            "id": name,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": done.finish}
            ],
            "usage": usage(done),
        }
    ).model_dump(mode="json", exclude_unset=True)
    return body | _own(boxes, outside)


def _own(boxes: Boxes | None, outside: bool) -> dict[str, Any]:
    """Fields that are not OpenAI's."""
    return ({"boxes": boxes} if boxes else {}) | ({"outside_limits": True} if outside else {})


def chunk(
    name: str,
    model: str,
    *,
    role: str | None = None,
    content: str | None = None,
    done: Generated | None = None,
    boxes: Boxes | None = None,
    outside: bool = False,
) -> dict[str, Any]:
    """A part of an answer, as `chat.completion.chunk`; the one with `done` ends it and carries the boxes."""
    delta = {key: value for key, value in (("role", role), ("content", content)) if value is not None}
    body = ChatCompletionChunk.model_validate(
        {
            "id": name,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": done.finish if done else None}],
        }
    ).model_dump(mode="json", exclude_unset=True)
    return body | _own(boxes, outside)


def usage_chunk(name: str, model: str, done: Generated) -> dict[str, Any]:
    """What `stream_options.include_usage` asks for: a last chunk without a choice."""
    return ChatCompletionChunk.model_validate(
        {
            "id": name,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "choices": [],
            "usage": usage(done),
        }
    ).model_dump(mode="json", exclude_unset=True)
