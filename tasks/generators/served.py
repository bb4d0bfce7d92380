"""Pairs by a model behind an OpenAI-compatible server: generators `openai` and `internlm`."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.core.errors import GenerationError
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Judge, Pair, Provenance, Written
from tasks.generators import xcomposer
from tasks.generators.asks import Answer, Ask, AskError, Picture
from tasks.generators.cache import AnswerCache
from tasks.generators.in_order import in_order
from tasks.generators.params import ModelParams
from tasks.generators.patience import Budget
from tasks.generators.prompts import Prompts
from tasks.generators.server import ModelServer
from tasks.generators.writing import ChipWriting

PREPARED = 2
"""Chips that are rendered, in numbers of slots: answers come in bursts, and each must find the next ask waiting."""
AHEAD = 4
"""Chips that are begun, in numbers of slots: one that is asked five times must not leave the others idle."""
PICTURE_TOKENS = 1_300
"""Of one picture at most, where a prompt is estimated: XComposer2's 1,225; others take 256."""
CHARACTERS_A_TOKEN = 3
"""At least, of English and JSON."""
FEWEST_LOST = 3
"""Asks in a row that a server must fail before it is taken to be gone."""

Show = Callable[[ChipFacts], Sequence[Picture]]
Give = Callable[[ChipFacts, Judge], Sequence[Pair]]
Count = Callable[[ChipFacts], int]


class ServedGenerator:
    """Asks a server about chips, many at once, and each question once: see `tasks.generators.cache`."""

    def __init__(
        self, params: ModelParams, seed: int, count: Count, show: Show, give: Give, is_internlm: bool = False
    ) -> None:
        """Nothing is asked yet.

        Args:
            params: the model and its server.
            seed: of the run.
            count: pairs wanted of a chip.
            show: the pictures of a chip.
            give: pairs of a chip that are to be worded anew; called for the task `reword` alone.
            is_internlm: whether the model is InternLM-XComposer2.

        Raises:
            GenerationError: the parameters name a server that would answer wrongly.
        """
        if is_internlm:
            xcomposer.check_version(params.server_version)
            if params.pictures > 1:
                raise GenerationError("InternLM-XComposer2 is shown one picture: set qa.model.pictures to 1, or to 0")
        elif xcomposer.is_xcomposer2(params.name):
            raise GenerationError(
                f"qa.model.name is '{params.name}': set qa.generator to internlm, which checks the server's version; "
                "current servers answer this model wrongly"
            )
        self._params, self._seed, self._is_internlm = params, seed, is_internlm
        self._count, self._show, self._give = count, show, give
        self._prompts = Prompts(params.task)
        self.provenance = Provenance(
            "internlm" if is_internlm else "openai",
            params.name,
            params.revision or (f"lmdeploy {params.server_version}" if is_internlm else ""),
            self._prompts.hash,
            seed,
            params.temperature,
        )

    def generate(self, chips: Iterable[ChipFacts], judge: Judge) -> Iterator[Written]:
        """What was written about each chip; see `tasks.dialogue.generator`."""
        run = _Run(self, judge)
        try:
            yield from in_order(chips, run.write, AHEAD * self._params.in_flight, run.close)
        finally:
            run.cache.close()


class _Run:
    """One pass over the chips: its server, its slots, what it has spent."""

    def __init__(self, generator: ServedGenerator, judge: Judge) -> None:
        self._of, self._params, self._judge = generator, generator._params, judge
        self.cache = AnswerCache(Path(self._params.cache))
        self._server: ModelServer | None = None
        self._starting = asyncio.Lock()
        self._slots = asyncio.Semaphore(self._params.in_flight)
        self._prepared = asyncio.Semaphore(PREPARED * self._params.in_flight)
        self._workers = ThreadPoolExecutor(2, "renderings")
        self._budget = Budget(self._params)
        self._lost = 0
        """Asks in a row that got no answer."""

    async def close(self) -> None:
        """Leave the server."""
        self._workers.shutdown(wait=True, cancel_futures=True)
        if self._server is not None:
            await self._server.close()

    async def write(self, facts: ChipFacts) -> Written:
        """All asks of one chip."""
        async with self._prepared:
            if self._params.pictures:
                loop = asyncio.get_running_loop()
                writing = await loop.run_in_executor(self._workers, self._begin, facts)
            else:  # another thread would only hold up this one
                writing = self._begin(facts)
            try:
                async with asyncio.timeout(self._params.chip_seconds):
                    while ask := writing.next():
                        writing.take(await self._answer(ask))
            except TimeoutError:
                writing.fail(f"deadline: the chip's asks took longer than {self._params.chip_seconds:g} s")
            except AskError as error:
                writing.fail(str(error))
            return writing.written()

    def _begin(self, facts: ChipFacts) -> ChipWriting:
        of = self._of
        given = of._give(facts, self._judge) if self._params.task == "reword" else ()
        pictures = of._show(facts) if self._params.pictures else ()
        count = len(given) if self._params.task == "reword" else of._count(facts)
        return ChipWriting(facts, count, self._params, of._prompts, of._seed, self._judge, pictures, given)

    async def _answer(self, ask: Ask) -> Answer:
        key = ask.key(self._params.name, self._of.provenance.revision)
        if (known := self.cache.get(key)) is not None:
            return known
        if ask.pictures:
            await asyncio.get_running_loop().run_in_executor(self._workers, lambda: [one.url for one in ask.pictures])
        async with self._slots:
            server = await self._started()
            longest = prompt_tokens(ask), ask.max_tokens
            self._budget.reserve(*longest)
            answer = None
            try:
                answer = await server.ask(ask)
                self._lost = 0
            except AskError as error:
                self._lose(error)
                raise
            finally:
                self._budget.settle(*longest, answer)
        return self.cache.put(key, answer)

    async def _started(self) -> ModelServer:
        """The server, asked at the first question that the cache cannot answer what it can do."""
        async with self._starting:
            if self._server is None:
                server = ModelServer(self._params, self._of._is_internlm)
                try:
                    await server.start()
                except BaseException:
                    await server.close()
                    raise
                self._server = server
        return self._server

    def _lose(self, error: AskError) -> None:
        self._lost += error.is_outage
        if self._lost >= max(FEWEST_LOST, self._params.in_flight):
            raise GenerationError(
                f"the model server has failed {self._lost} asks in a row, the last: {error}. What was answered is kept "
                f"in {self._params.cache}: run again when it is back, and the stage goes on where it was"
            ) from error


def prompt_tokens(ask: Ask) -> int:
    """How many tokens the prompt of an ask has at most, estimated."""
    text = len(ask.system) + len(ask.user)
    return text // CHARACTERS_A_TOKEN + PICTURE_TOKENS * len(ask.pictures)
