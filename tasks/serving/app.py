"""The routes: OpenAI's, a quicklook of an image, the state of the server, and the page."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import run_sync
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from tasks.core.errors import EarthloomError
from tasks.serving import page
from tasks.serving.access import CheckAccess
from tasks.serving.errors import RequestError
from tasks.serving.limits import BodyLimits, LimitBodies
from tasks.serving.monitoring import CountRequests
from tasks.serving.refusals import response
from tasks.serving.server import Server

logger = logging.getLogger(__name__)


def make_app(server: Server) -> FastAPI:
    """The application."""
    options = server.options

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        # uvicorn has waited for the answers that were being written, as long as it may.
        await run_sync(server.generator.drain, 0)

    app = FastAPI(
        title="Earthloom", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.add_api_route("/v1/chat/completions", server.chat, methods=["POST"], response_model=None)
    app.add_api_route("/v1/responses", server.respond, methods=["POST"], response_model=None)
    app.add_api_route("/v1/models", server.models, methods=["GET"])
    app.add_api_route("/v1/models/{name:path}", server.model, methods=["GET"])
    app.add_api_route("/quicklook", server.quicklook, methods=["POST"])
    app.add_api_route("/health", server.health, methods=["GET"], response_model=None)
    app.add_api_route("/ready", server.ready, methods=["GET"], response_model=None)
    app.add_api_route("/metrics", server.metrics, methods=["GET"], response_model=None)
    app.add_api_route("/", _page, methods=["GET"], response_class=HTMLResponse)
    app.add_exception_handler(RequestError, _request_error)
    app.add_exception_handler(EarthloomError, _earthloom_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    # The last one added stands first: a stranger's body is not read, and every answer is counted.
    limits = BodyLimits(options.most_bytes, options.held_bytes, options.body_seconds)
    app.add_middleware(LimitBodies, limits=limits)
    app.add_middleware(CheckAccess, keys=options.keys, hosts=options.hosts, origins=options.origins)
    if options.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=options.origins, allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    app.add_middleware(CountRequests, requests=server.requests)
    return app


def _page() -> HTMLResponse:
    headers = {
        "Content-Security-Policy": page.content_security_policy(),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(page.document(), headers=headers)


async def _request_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return response(error)


async def _earthloom_error(_: Request, error: Exception) -> Response:
    return response(RequestError(str(error), code="invalid_request"))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    message = f"{request.method} {request.url.path}: {error.detail}"
    return response(RequestError(message, code=code, status=error.status_code))


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response(
        RequestError("the server failed on this request; its log says where", code="internal_error", status=500)
    )
