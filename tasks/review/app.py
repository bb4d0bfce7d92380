"""The server of the review page. It listens on loopback, and takes decisions from its own page alone."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tasks.core.errors import EarthloomError
from tasks.dialogue.decisions import Decided, Decision
from tasks.review.session import Session
from tasks.serving.access import CheckAccess
from tasks.serving.limits import BodyLimits, LimitBodies
from tasks.serving.page import content_security_policy, document

FOLDER = Path(__file__).parent
LARGEST = 64 * 1024
"""Bytes of a decision."""


class Posted(BaseModel):
    """A decision as the page sends it."""

    model_config = ConfigDict(extra="forbid")
    number: int = Field(ge=0)
    decision: Decided
    correction: str = Field("", max_length=4000)


def make_app(session: Session) -> Starlette:
    """The application over one reviewer's sample."""

    async def page(_: Request) -> Response:
        return HTMLResponse(document(FOLDER), headers={"content-security-policy": content_security_policy(FOLDER)})

    async def pairs(_: Request) -> Response:
        return JSONResponse({"pairs": [session.pair(number) for number in range(len(session.pairs))]})

    async def picture(request: Request) -> Response:
        number = int(request.path_params["number"])
        if number >= len(session.pairs):
            return JSONResponse({"error": "there is no such pair"}, 404)
        try:
            return Response(session.picture(number), media_type="image/png")
        except EarthloomError as error:
            return JSONResponse({"error": str(error)}, 500)

    async def decide(request: Request) -> Response:
        # Another site's page may send a form here, but not with a type of its own choice.
        if request.headers.get("content-type") != "application/json":
            return JSONResponse({"error": "a decision is sent as application/json"}, 415)
        try:
            posted = Posted.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"error": error.errors()[0]["msg"]}, 400)
        if posted.number >= len(session.pairs):
            return JSONResponse({"error": "there is no such pair"}, 404)
        if posted.decision == "correct" and not posted.correction.strip():
            return JSONResponse({"error": "write the right answer first"}, 400)
        one = session.pairs[posted.number]
        correction = posted.correction.strip() if posted.decision == "correct" else ""
        texts = (one.chip_id, one.question, one.answer, posted.decision, correction, one.verdict, one.question_type)
        session.decisions.add(Decision(*texts))
        return JSONResponse({"pair": session.pair(posted.number), "score": session.score()})

    routes = [
        Route("/", page),
        Route("/pairs", pairs),
        Route("/pictures/{number:int}.png", picture),
        Route("/decisions", decide, methods=["POST"]),
    ]
    limits = BodyLimits(most_bytes=LARGEST, held_bytes=16 * LARGEST, seconds=10)
    return Starlette(routes=routes, middleware=[Middleware(CheckAccess), Middleware(LimitBodies, limits=limits)])
