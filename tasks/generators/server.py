"""An OpenAI-compatible server: asked at start what it can do, and then for answers, patiently and within bounds."""

import asyncio
import json
import logging
import os
import re
from typing import Any

import httpx2 as httpx  # what the client of openai speaks
import openai

from tasks.core.errors import GenerationError
from tasks.core.redaction import redacted
from tasks.generators import xcomposer
from tasks.generators.asks import Answer, Ask, AskError
from tasks.generators.completions import answer_of, models_of
from tasks.generators.params import ModelParams
from tasks.generators.patience import Gate, retry_after, wait_before
from tasks.generators.prompts import schema
from tasks.generators.shown_facts import name_of
from tasks.generators.transport import TooLongError, make_client

logger = logging.getLogger(__name__)
NO_KEY = "none"
"""What is sent where the variable is not set: servers of one's own take anything."""
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}
"""Answers that may be others a moment later."""
PROBE = {"type": "object", "additionalProperties": False, "required": ["word"],
         "properties": {"word": {"type": "string", "enum": ["earth"]}}}  # fmt: skip
PROBE_TOKENS = 64
LIMIT_TOKENS = 16
LONG = 5.0
"""Seconds of a wait that are worth a line."""
NEW, OLD = "max_completion_tokens", "max_tokens"


class ModelServer:
    """One model behind one server."""

    def __init__(self, params: ModelParams, is_internlm: bool) -> None:
        """Nothing is asked yet.

        Args:
            params: where it is and how it is asked.
            is_internlm: whether it is InternLM-XComposer2 behind LMDeploy 0.7.3, which is asked in its own way.
        """
        self._params, self._is_internlm = params, is_internlm
        self._key = os.environ.get(params.key) or NO_KEY
        self._gate = Gate()
        self._limit = OLD if is_internlm else NEW
        self._format: dict[str, Any] | None = None
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=params.url,
            max_retries=0,  # counted, bounded and logged here
            http_client=make_client(params.answer_bytes, params.in_flight + 1, params.request_seconds),
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def start(self) -> None:
        """Ask the server which model it serves and what it can do.

        Raises:
            GenerationError: it cannot be reached, refuses the key, or does not serve the model rightly.
        """
        try:
            await self._check_model()
            if not self._is_internlm:
                await self._learn_limit()
                await self._learn_format()
        except AskError as error:
            raise GenerationError(
                f"the model server at {self._shown()} cannot be used: {error}. Start it, or set qa.model.url"
            ) from error
        except openai.APIStatusError as error:
            raise GenerationError(
                f"the model server at {self._shown()} refuses a first short request: {self._said(error)}"
            ) from error

    async def ask(self, ask: Ask) -> Answer:
        """The answer to an ask.

        Raises:
            AskError: there is none, after all tries.
            GenerationError: there will never be one: a wrong key, no quota, no such model.
        """
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": picture.url}} for picture in ask.pictures
        ]
        content.append({"type": "text", "text": ask.user})
        body: dict[str, Any] = {
            "model": self._params.name,
            "messages": [
                {"role": "system", "content": ask.system},
                {"role": "user", "content": content if ask.pictures else ask.user},
            ],
            "seed": ask.seed,
            "temperature": ask.temperature,
            "top_p": ask.top_p,
            self._limit: ask.max_tokens,
        }
        if self._format is not None:
            body["response_format"] = self._format
        try:
            return await self._patiently(body, ask.seed)
        except openai.APIStatusError as error:
            raise AskError(f"the server refuses the request: {self._said(error)}") from error

    async def _check_model(self) -> None:
        try:
            raw = await self._once(lambda: self._client.get("/models", cast_to=httpx.Response), 0)
        except openai.APIStatusError as error:
            if error.status_code not in (404, 405, 501):
                raise
            return  # not every server lists its models
        served = [(name_of(name), name_of(root)) for name, root in models_of(raw)]
        names = [name for name, _ in served]
        mine = name_of(self._params.name)
        if mine not in names:
            raise GenerationError(
                f"the server at {self._shown()} does not serve '{self._params.name}' (qa.model.name), but "
                f"{', '.join(names[:10]) or 'no model at all'}"
            )
        origin = next(root for name, root in served if name == mine)
        if xcomposer.is_xcomposer2(self._params.name, origin):
            if not self._is_internlm:
                raise GenerationError(
                    f"the server at {self._shown()} serves {origin or self._params.name}, an InternLM-XComposer2, "
                    "which current servers answer wrongly: set qa.generator to internlm, which checks the version"
                )
        elif self._is_internlm:
            logger.warning("'%s' is not named like an InternLM-XComposer2; it is asked as one", self._params.name)

    async def _learn_limit(self) -> None:
        """Which name the server knows the bound of an answer by: one that it does not know it may ignore."""
        body = self._probe("Count from one to one hundred in words.")
        try:
            answer = await self._patiently({**body, NEW: LIMIT_TOKENS}, 1)
            heeded = answer.finish == "length" or answer.completion_tokens <= LIMIT_TOKENS
        except openai.BadRequestError:
            heeded = False
        self._limit = NEW if heeded else OLD

    async def _learn_format(self) -> None:
        """Whether the server holds an answer to a schema: one that cannot says so, or does as if it had not heard."""
        wanted = {"type": "json_schema", "json_schema": {"name": "earthloom_probe", "strict": True, "schema": PROBE}}
        body = self._probe("Say hello.")
        try:
            answer = await self._patiently({**body, self._limit: PROBE_TOKENS, "response_format": wanted}, 2, tries=2)
            can = json.loads(answer.text) == {"word": "earth"}
        except (openai.APIStatusError, ValueError):
            can = False
        except AskError as error:
            if not error.is_outage:
                raise
            can = False  # some answer 500 to a format that they do not know; whether they are there was asked before
        if can:
            named = {"name": "earthloom_qa", "strict": True, "schema": schema(self._params.task)}
            self._format = {"type": "json_schema", "json_schema": named}
        else:
            logger.info("the model server holds no answer to a schema: the prompt alone asks for JSON")

    def _probe(self, text: str) -> dict[str, Any]:
        return {"model": self._params.name, "messages": [{"role": "user", "content": text}]}

    async def _patiently(self, body: dict[str, Any], seed: int, tries: int | None = None) -> Answer:
        raw = await self._once(
            # Not `chat.completions.create`, which takes two milliseconds to look through a body that is right.
            lambda: self._client.post("/chat/completions", cast_to=httpx.Response, body=body),
            seed,
            tries,
            parse=answer_of,
        )
        assert isinstance(raw, Answer)
        return raw

    async def _once(self, send: Any, seed: int, tries: int | None = None, parse: Any = None) -> Any:
        """What a request brings, tried again after what may pass: raises what stays."""
        waited, tries = 0.0, tries or self._params.tries
        for attempt in range(1, tries + 1):
            await self._gate.passed()
            asked = None
            try:
                async with asyncio.timeout(self._params.request_seconds):
                    content = (await send()).content
                return parse(content) if parse else content
            except openai.APIStatusError as error:
                self._check_final(error)
                if error.status_code not in PASSING:
                    raise
                failure = AskError(self._said(error), is_outage=True)
                asked = retry_after(error.response.headers)
            except (TimeoutError, openai.APITimeoutError):
                failure = AskError(f"no answer within {self._params.request_seconds:g} s", is_outage=True)
            except TooLongError as error:
                raise AskError(str(error)) from error
            except openai.APIConnectionError as error:
                failure = AskError(f"no answer ({redacted(str(error.__cause__ or error))[:120]})", is_outage=True)
            except AskError as error:
                if not error.is_outage:
                    raise
                failure = error
            left = self._params.max_wait - waited
            if attempt == tries or left <= 0:
                break
            wait = wait_before(attempt, asked, left, seed)
            if asked is not None:
                self._gate.shut(wait)
                log = logger.warning if wait >= LONG else logger.debug
                log("the model server asks to wait %.0f s; waiting %.1f s", asked, wait)
            await asyncio.sleep(wait)
            waited += wait
        raise AskError(f"{failure} ({attempt} tries)", is_outage=True) from failure

    def _check_final(self, error: openai.APIStatusError) -> None:
        """End the run on what no waiting mends."""
        if error.status_code in (401, 403):
            raise GenerationError(
                f"the model server at {self._shown()} refuses the key ({error.status_code}): put the right one into "
                f"the variable {self._params.key} of the environment"
            ) from None
        if error.status_code == 429 and error.code == "insufficient_quota":
            raise GenerationError("the account behind the key has no quota left; what was answered so far is kept")
        if 300 <= error.status_code < 400:
            raise GenerationError(f"{self._shown()} redirects elsewhere; set qa.model.url to where the server is")

    def _said(self, error: openai.APIStatusError) -> str:
        """The number of an answer and what the server says of it, without what is secret."""
        body = error.body if isinstance(error.body, dict) else {}
        message = str(body.get("message") or body.get("detail") or "")
        plain = redacted(message.replace(self._key, "...")) if self._key != NO_KEY else redacted(message)
        plain = re.sub(r"\b(sk|key|hf)[-_][\w*.-]{4,}", "...", " ".join(plain.split()))
        return f"{error.status_code}{f', {plain[:160]}' if plain else ''}"

    def _shown(self) -> str:
        return redacted(self._params.url)
