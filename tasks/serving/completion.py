"""Answers as OpenAI's own types, so that their form is right by construction; what is ours, as fields beside them."""

import time
from dataclasses import dataclass, field
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tasks.serving.generation import Generated, TokenLogprob

Boxes = dict[str, Any]
"""A GeoJSON FeatureCollection."""


@dataclass(frozen=True)
class OwnFields:
    """What an answer carries that OpenAI's do not; a field is left out where there is nothing to say."""

    boxes: Boxes | None = None
    outside_limits: bool = False
    """Whether it is the model's limits, in the place of an answer to what it was not taught."""
    images: list[dict[str, Any]] = field(default_factory=list)
    """What each image was taken for, where something was assumed of one."""
    notes: tuple[str, ...] = ()
    """What was done otherwise than asked for."""

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        everything = {
            "boxes": self.boxes,
            "outside_limits": self.outside_limits,
            "images": self.images,
            "notes": list(self.notes),
        }
        return {name: value for name, value in everything.items() if value}


NOTHING = OwnFields()


def usage(done: Generated) -> dict[str, Any]:
    """OpenAI's count of tokens."""
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.answer_tokens,
        "total_tokens": done.prompt_tokens + done.answer_tokens,
        "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
    }


def completion(
    name: str, model: str, answer: str, done: Generated, own: OwnFields = NOTHING, logprobs: bool = False
) -> dict[str, Any]:
    """A whole answer, as `chat.completion`."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": answer, "refusal": None},
        "finish_reason": done.finish,
        "logprobs": {"content": _rows(done.logprobs), "refusal": None} if logprobs else None,
    }
    body = ChatCompletion.model_validate(
        {
            "id": name,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [choice],
            "usage": usage(done),
        }
    ).model_dump(mode="json", exclude_unset=True)
    return body | own.fields()


def chunk(
    name: str,
    model: str,
    *,
    role: str | None = None,
    content: str | None = None,
    logprobs: list[TokenLogprob] | None = None,
    done: Generated | None = None,
    own: OwnFields = NOTHING,
) -> dict[str, Any]:
    """A part of an answer, as `chat.completion.chunk`; the one with `done` ends it and carries what is ours."""
    delta = {key: value for key, value in (("role", role), ("content", content)) if value is not None}
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": done.finish if done else None}
    if logprobs is not None:
        choice["logprobs"] = {"content": _rows(logprobs), "refusal": None}
    body = ChatCompletionChunk.model_validate(
        {
            "id": name,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "choices": [choice],
        }
    ).model_dump(mode="json", exclude_unset=True)
    return body | own.fields()


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


def _rows(tokens: list[TokenLogprob]) -> list[dict[str, Any]]:
    return [
        {
            **_row(one.text, one.logprob),
            "top_logprobs": [_row(text, logprob) for text, logprob in one.top],
        }
        for one in tokens
    ]


def _row(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
