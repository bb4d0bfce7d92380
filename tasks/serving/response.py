"""Answers of the Responses API, whole and as events, as OpenAI's own types."""

import time
from collections.abc import Iterator
from typing import Any

from openai.types.responses import Response

from tasks.serving.completion import NOTHING, OwnFields
from tasks.serving.generation import Generated
from tasks.serving.response_request import ResponseRequest


class Answer:
    """One response, and the events that it comes in."""

    def __init__(self, name: str, model: str, asked: ResponseRequest) -> None:
        self.name, self.model, self.asked = name, model, asked
        self.item = f"msg_{name.removeprefix('resp_')}"
        self.created = int(time.time())
        self.events = 0

    def body(self, answer: str | None, done: Generated | None, own: OwnFields = NOTHING) -> dict[str, Any]:
        """The response; in progress where it has no answer yet.

        Args:
            answer: whole.
            done: its counts.
            own: fields that are not OpenAI's.
        """
        cut = done is not None and done.finish == "length"
        status = "in_progress" if done is None else "incomplete" if cut else "completed"
        made = Response.model_validate(
            {
                "id": self.name,
                "object": "response",
                "created_at": self.created,
                "status": status,
                "error": None,
                "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
                "instructions": self.asked.instructions,
                "max_output_tokens": self.asked.max_output_tokens,
                "model": self.model,
                "output": [self._message(answer, status)] if answer is not None else [],
                "parallel_tool_calls": False,
                "previous_response_id": None,
                "store": False,
                "temperature": self.asked.temperature,
                "text": self.asked.text.model_dump(by_alias=True) | self._named_format(),
                "tool_choice": "none",
                "tools": [],
                "top_p": self.asked.top_p,
                "truncation": "disabled",
                "metadata": {},
                "usage": _usage(done) if done else None,
            }
        ).model_dump(mode="json", exclude_unset=True, by_alias=True)
        return made | own.fields()

    def _named_format(self) -> dict[str, Any]:
        made = self.asked.text.format.model_dump(by_alias=True)
        return {"format": made | ({"name": "answer"} if made["type"] == "json_schema" else {})}

    def _message(self, answer: str, status: str) -> dict[str, Any]:
        content = [_text(answer)] if status != "in_progress" else []
        return {"id": self.item, "type": "message", "role": "assistant", "status": status, "content": content}

    def begun(self) -> Iterator[dict[str, Any]]:
        """Events before the first of the text."""
        yield self._event("response.created", response=self.body(None, None))
        yield self._event("response.in_progress", response=self.body(None, None))
        yield self._event("response.output_item.added", output_index=0, item=self._message("", "in_progress"))
        yield self._event("response.content_part.added", **self._place(), part=_text(""))

    def delta(self, text: str) -> dict[str, Any]:
        """More of the text."""
        return self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def ended(self, answer: str, done: Generated, own: OwnFields) -> Iterator[dict[str, Any]]:
        """Events after the last of the text."""
        body = self.body(answer, done, own)
        yield self._event("response.output_text.done", **self._place(), text=answer, logprobs=[])
        yield self._event("response.content_part.done", **self._place(), part=_text(answer))
        yield self._event("response.output_item.done", output_index=0, item=body["output"][0])
        yield self._event(f"response.{body['status']}", response=body)

    def failed(self, message: str, code: str) -> Iterator[dict[str, Any]]:
        """The events of an answer that ends in an error."""
        body = self.body(None, None) | {"status": "failed", "error": {"code": "server_error", "message": message}}
        yield self._event("error", code=code, message=message, param=None)
        yield self._event("response.failed", response=body)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.item, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.events += 1
        return {"type": kind, "sequence_number": self.events - 1, **fields}


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(done: Generated) -> dict[str, Any]:
    return {
        "input_tokens": done.prompt_tokens,
        "input_tokens_details": {"cached_tokens": done.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": done.answer_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": done.prompt_tokens + done.answer_tokens,
    }
