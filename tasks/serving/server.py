"""What the routes answer: OpenAI's APIs, a quicklook of an image, the state of the server."""

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from tasks.earth.picture_files import MOST_PIXELS
from tasks.serving import errors
from tasks.serving.bodies import Gone, json_of, watched
from tasks.serving.completion import OwnFields, chunk, completion, usage_chunk
from tasks.serving.errors import HEADERS, RequestError
from tasks.serving.events import event, joined, line
from tasks.serving.fields import validated
from tasks.serving.generation import Generated, Generator
from tasks.serving.images import accepted, converse, describe, prepare, taken_as
from tasks.serving.monitoring import CONTENT_TYPE, Requests
from tasks.serving.request import Asked, ChatRequest, QuicklookRequest
from tasks.serving.response import Answer
from tasks.serving.response_request import ResponseRequest
from tasks.vlm.chat import Conversation
from tasks.vlm.limits import Limits

logger = logging.getLogger(__name__)
OPENERS = 2
"""Requests whose images are opened at a time; the pixels of further ones would only fill the memory."""


@dataclass(frozen=True)
class ServerOptions:
    """What a server is started with."""

    name: str
    """What requests call the model."""
    max_new_tokens: int = 256
    refuses: bool = True
    """Whether what the model was not taught is answered with its limits."""
    most_bytes: int = 64 * 2**20
    held_bytes: int = 256 * 2**20
    body_seconds: float = 20
    most_pixels: int = MOST_PIXELS
    """Of one image, by its header."""
    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


@dataclass
class Talk:
    """An answer that has begun."""

    conversation: Conversation
    deltas: AsyncIterator[str]
    done: Generated
    notes: tuple[str, ...] = ()
    outside: bool = False
    """Whether it is the model's limits, in the place of an answer to what it was not taught."""

    def own(self, answer: str, box_form: str) -> OwnFields:
        """What goes with the whole answer beyond OpenAI's fields."""
        images = taken_as(self.conversation)
        assumed = any(image["note"] for image in images)
        boxes = self.conversation.boxes(answer, box_form)
        return OwnFields(boxes, self.outside, images if assumed else [], self.notes)


class Server:
    """What the routes share: the model under its name, and its queue."""

    def __init__(
        self,
        generator: Generator,
        options: ServerOptions,
        limits: Limits | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """A server.

        Args:
            generator: answers.
            options: of `earthloom serve`.
            limits: of the model, where they are on record.
            stopping: whether it has been asked to end.
        """
        self.generator = generator
        self.options = options
        self.name = options.name
        self.limits = limits
        self.refused_by = limits if options.refuses else None
        self.stopping = stopping
        self.requests = Requests()
        self._opening = CapacityLimiter(OPENERS)

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        body = validated(ChatRequest, await json_of(request))
        asked = self._known(body.asked(self.options.max_new_tokens))
        name = f"chatcmpl-{uuid.uuid4().hex}"
        if body.stream:
            return await _streamed(self._chunks(name, asked, body.stream_options.include_usage, request))
        async with watched(request) as gone, self._begun(asked, gone) as talk:
            answer = "".join([delta async for delta in talk.deltas]).strip()
            own = talk.own(answer, self.generator.answerer.box_form)
        return JSONResponse(completion(name, self.name, answer, talk.done, own, logprobs=body.logprobs))

    async def respond(self, request: Request) -> Response:
        """`POST /v1/responses`."""
        body = validated(ResponseRequest, await json_of(request))
        asked = self._known(body.asked(self.options.max_new_tokens))
        made = Answer(f"resp_{uuid.uuid4().hex}", self.name, body)
        if body.stream:
            return await _streamed(self._events(made, asked, request))
        async with watched(request) as gone, self._begun(asked, gone) as talk:
            answer = "".join([delta async for delta in talk.deltas]).strip()
            own = talk.own(answer, self.generator.answerer.box_form)
        return JSONResponse(made.body(answer, talk.done, own))

    def _known(self, asked: Asked) -> Asked:
        if asked.model != self.name:
            raise _no_model(asked.model, self.name)
        return asked

    @asynccontextmanager
    async def _begun(self, asked: Asked, gone: Gone) -> AsyncIterator[Talk]:
        """A place in the queue, and the answer that comes."""
        async with self.generator.place():
            answerer = self.generator.answerer
            sampling = asked.sampling
            await run_sync(self.generator.check, sampling)
            most = self.options.most_pixels
            conversation = await self._opened(converse, answerer, asked.chat, self.refused_by, most, gone.is_set)
            if refused := conversation.refusal(self.refused_by):
                yield Talk(conversation, _once(refused), Generated(prompt_tokens=0), asked.notes, outside=True)
                return
            ask = await self._opened(prepare, answerer, conversation, sampling.max_new_tokens)
            done = Generated(prompt_tokens=ask.prompt.tokens)
            yield Talk(conversation, self.generator.answer(ask, sampling, done, gone), done, asked.notes)

    async def _opened(self, work: Callable[..., Any], *given: Any) -> Any:
        return await run_sync(work, *given, limiter=self._opening)

    async def _chunks(self, name: str, asked: Asked, with_usage: bool, request: Request) -> AsyncIterator[str]:
        """Server-sent events of a streamed completion."""
        answer, sent = "", 0
        wanted = asked.sampling.top_logprobs is not None
        async with watched(request) as gone, self._begun(asked, gone) as talk:
            try:
                async for delta in talk.deltas:
                    if not answer:
                        yield line(chunk(name, self.name, role="assistant", content=""))
                    answer += delta
                    new, sent = talk.done.logprobs[sent:], len(talk.done.logprobs)
                    yield line(chunk(name, self.name, content=delta, logprobs=new if wanted else None))
            except RequestError as error:
                if not answer:
                    raise
                yield line(errors.body(str(error), code=error.code, status=error.status))
                return
            own = talk.own(answer, self.generator.answerer.box_form)
        if not answer:
            yield line(chunk(name, self.name, role="assistant", content=""))
        rest = talk.done.logprobs[sent:]
        yield line(chunk(name, self.name, done=talk.done, own=own, logprobs=rest if wanted else None))
        if with_usage:
            yield line(usage_chunk(name, self.name, talk.done))
        yield "data: [DONE]\n\n"

    async def _events(self, made: Answer, asked: Asked, request: Request) -> AsyncIterator[str]:
        """Server-sent events of a streamed response."""
        answer = ""
        async with watched(request) as gone, self._begun(asked, gone) as talk:
            try:
                async for delta in talk.deltas:
                    if not answer:
                        yield "".join(map(event, made.begun()))
                    answer += delta
                    yield event(made.delta(delta))
            except RequestError as error:
                if not answer:
                    raise
                yield "".join(map(event, made.failed(str(error), error.code)))
                return
            own = talk.own(answer, self.generator.answerer.box_form)
        begun: Iterable[dict[str, Any]] = made.begun() if not answer else ()
        yield "".join(map(event, [*begun, *made.ended(answer.strip(), talk.done, own)]))

    async def quicklook(self, request: Request) -> dict[str, Any]:
        """`POST /quicklook`: a picture of an image for people, and what is recognised of it."""
        asked = validated(QuicklookRequest, await json_of(request))
        async with watched(request) as gone, self.generator.place():
            most = self.options.most_pixels
            shown: dict[str, Any] = await self._opened(describe, self.generator.answerer, asked, most, gone.is_set)
            return shown

    def models(self) -> dict[str, Any]:
        """`GET /v1/models`."""
        return {"object": "list", "data": [self.model(self.name)]}

    def model(self, name: str) -> dict[str, Any]:
        """`GET /v1/models/{name}`."""
        if name != self.name:
            raise _no_model(name, self.name)
        one = {"id": self.name, "object": "model", "created": 0, "owned_by": "earthloom"}
        most = {"most_bytes": self.options.most_bytes, "max_new_tokens": self.options.max_new_tokens}
        own = accepted(self.generator.answerer) | most
        return one | own | ({"limits": self.limits.for_people()} if self.limits else {})

    def health(self) -> JSONResponse:
        """`GET /health`: whether the process can answer at all; a supervisor starts it anew where not."""
        state = {"status": "ok" if self.generator.alive else "failed", "model": self.name}
        queue = {"inside": self.generator.inside, "waiting": self.generator.waiting}
        return JSONResponse(state | queue, 200 if self.generator.alive else 503)

    def ready(self) -> JSONResponse:
        """`GET /ready`: whether questions may be sent here now."""
        state = "failed" if not self.generator.alive else "stopping" if self.stopping() else "ready"
        ready = state == "ready"
        return JSONResponse({"status": state}, 200 if ready else 503, None if ready else HEADERS[503])

    def metrics(self) -> Response:
        """`GET /metrics`, as Prometheus reads them."""
        return Response(self.requests.text(self.generator.numbers), media_type=CONTENT_TYPE)


async def _once(text: str) -> AsyncIterator[str]:
    yield text


async def _streamed(lines: AsyncIterator[str]) -> StreamingResponse:
    """What is wrong with a request shows before the first line, while a status can still be sent."""
    first = await anext(lines)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # a proxy is not to collect the parts
    return StreamingResponse(joined(first, lines), media_type="text/event-stream", headers=headers)


def _no_model(name: str, known: str) -> RequestError:
    message = f"there is no model '{name[:100]}' here, only '{known}'"
    return RequestError(message, code="model_not_found", param="model", status=404)
