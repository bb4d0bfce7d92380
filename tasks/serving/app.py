"""The routes: OpenAI's two, a quicklook of an image, the state of the server, and the page."""

import json
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from tasks.core.errors import EarthloomError
from tasks.serving import errors, page
from tasks.serving.completion import chunk, completion, usage_chunk
from tasks.serving.errors import RequestError
from tasks.serving.generation import Generated, Generator
from tasks.serving.images import converse, describe, prepare
from tasks.serving.limits import LimitBody
from tasks.serving.request import ChatRequest, parse, parse_quicklook, read_turns
from tasks.vlm.chat import Conversation
from tasks.vlm.limits import Limits

logger = logging.getLogger(__name__)


@dataclass
class Talk:
    """An answer that has begun."""

    conversation: Conversation
    deltas: AsyncIterator[str]
    done: Generated
    outside: bool = False
    """Whether it is the model's limits, in the place of an answer to what it was not taught."""


class Server:
    """What the routes share: the model under its name, and its queue."""

    def __init__(
        self,
        generator: Generator,
        name: str,
        max_new_tokens: int,
        limits: Limits | None = None,
        *,
        refuses: bool = True,
    ) -> None:
        self.generator = generator
        self.limits = limits
        self.refused_by = limits if refuses else None
        self.name = name
        self.max_new_tokens = max_new_tokens

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        asked = parse(await _json(request))
        if asked.model != self.name:
            message = f"there is no model '{asked.model}' here, only '{self.name}'"
            raise RequestError(message, code="model_not_found", param="model", status=404)
        if asked.stream:
            lines = self._lines(asked, request)
            first = await anext(lines)  # what is wrong with the request shows here, while a status can still be sent
            return StreamingResponse(_joined(first, lines), media_type="text/event-stream")
        async with self._begun(asked, request) as talk:
            answer = "".join([delta async for delta in talk.deltas]).strip()
        boxes = talk.conversation.boxes(answer, self.generator.answerer.box_form)
        return JSONResponse(completion(_name(), self.name, answer, talk.done, boxes, talk.outside))

    @asynccontextmanager
    async def _begun(self, asked: ChatRequest, request: Request) -> AsyncIterator[Talk]:
        """A place in the queue, and the answer that comes."""
        async with self.generator.place():
            answerer = self.generator.answerer
            conversation = await run_in_threadpool(converse, answerer, read_turns(asked), self.refused_by)
            if refused := conversation.refusal(self.refused_by):
                yield Talk(conversation, _once(refused), Generated(prompt_tokens=0), outside=True)
                return
            max_new_tokens = min(asked.max_answer_tokens or self.max_new_tokens, self.max_new_tokens)
            sampling = self.generator.sampling(max_new_tokens, asked.temperature, asked.top_p)
            ask = await run_in_threadpool(prepare, answerer, conversation, max_new_tokens)
            done = Generated(prompt_tokens=ask.prompt.tokens)
            yield Talk(conversation, self.generator.answer(ask, sampling, done, request.is_disconnected), done)

    async def _lines(self, asked: ChatRequest, request: Request) -> AsyncIterator[str]:
        """Server-sent events of a streamed answer."""
        name, answer = _name(), ""
        async with self._begun(asked, request) as talk:
            yield _line(chunk(name, self.name, role="assistant", content=""))
            try:
                async for delta in talk.deltas:
                    answer += delta
                    yield _line(chunk(name, self.name, content=delta))
            except RequestError as error:
                yield _line(errors.body(str(error), code=error.code, status=error.status))
                return
        boxes = talk.conversation.boxes(answer, self.generator.answerer.box_form)
        yield _line(chunk(name, self.name, done=talk.done, boxes=boxes, outside=talk.outside))
        if asked.stream_options and asked.stream_options.include_usage:
            yield _line(usage_chunk(name, self.name, talk.done))
        yield "data: [DONE]\n\n"

    async def quicklook(self, request: Request) -> dict[str, Any]:
        """`POST /quicklook`: a picture of an image for people, and what is recognised of it."""
        asked = parse_quicklook(await _json(request))
        return await run_in_threadpool(describe, self.generator.answerer, asked)

    def models(self) -> dict[str, Any]:
        """`GET /v1/models`."""
        one = {"id": self.name, "object": "model", "created": 0, "owned_by": "earthloom"}
        own = {"sensors": list(self.generator.answerer.normalise.values)}
        known = {"limits": self.limits.for_people()} if self.limits else {}
        return {"object": "list", "data": [one | own | known]}

    def health(self) -> dict[str, Any]:
        """`GET /health`."""
        return {"status": "ok", "model": self.name, "inside": self.generator.inside, "waiting": self.generator.waiting}


def make_app(server: Server, max_bytes: int) -> FastAPI:
    """The application.

    Args:
        server: what answers.
        max_bytes: largest body of a request.
    """
    app = FastAPI(title="Earthloom", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(LimitBody, max_bytes=max_bytes)
    app.add_api_route("/v1/chat/completions", server.chat, methods=["POST"], response_model=None)
    app.add_api_route("/v1/models", server.models, methods=["GET"])
    app.add_api_route("/quicklook", server.quicklook, methods=["POST"])
    app.add_api_route("/health", server.health, methods=["GET"])
    app.add_api_route("/", _page, methods=["GET"], response_class=HTMLResponse)
    app.add_exception_handler(RequestError, _request_error)
    app.add_exception_handler(EarthloomError, _earthloom_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _page() -> HTMLResponse:
    headers = {
        "Content-Security-Policy": page.content_security_policy(),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(page.document(), headers=headers)


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON ({error})", code="invalid_json") from error


async def _once(text: str) -> AsyncIterator[str]:
    yield text


async def _joined(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for line in rest:
        yield line


def _line(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"


def _name() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _answer(message: str, code: str, status: int, param: str | None = None) -> JSONResponse:
    headers = {"Retry-After": "2"} if status == 429 else None
    return JSONResponse(errors.body(message, code=code, param=param, status=status), status, headers)


async def _request_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _answer(str(error), error.code, error.status, error.param)


async def _earthloom_error(_: Request, error: Exception) -> Response:
    return _answer(str(error), "invalid_request", 400)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(f"{request.method} {request.url.path}: {error.detail}", "not_found", error.status_code)


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer("the server failed on this request; its log says where", "internal_error", 500)
