"""Pairs by a model in this process: generator `transformers`. Batches are the same in every run."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import GenerationError
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Judge, Provenance, Written
from tasks.generators import xcomposer
from tasks.generators.asks import Answer, Ask, AskError
from tasks.generators.cache import AnswerCache
from tasks.generators.params import ModelParams
from tasks.generators.patience import Budget
from tasks.generators.prompts import Prompts
from tasks.generators.served import Count, Give, Show, prompt_tokens
from tasks.generators.writing import ChipWriting

if TYPE_CHECKING:
    from tasks.generators.local_model import LocalModel

COMMIT = re.compile(r"[0-9a-f]{40}")


class InProcessGenerator:
    """Asks a model about the chips of a batch together, until each is done; what was asked before comes from the cache.

    What a model answers depends a little on what else is in its batch, as sums are taken in another order: the same
    chips in the same order and a cache in the same state give the same answers.
    """

    def __init__(self, params: ModelParams, seed: int, count: Count, show: Show, give: Give) -> None:
        """The model is loaded when the cache does not know an answer.

        Args:
            params: the model; `in_flight` chips are a batch.
            seed: of the run.
            count: pairs wanted of a chip.
            show: the pictures of a chip.
            give: pairs of a chip that are to be worded anew; called for the task `reword` alone.

        Raises:
            GenerationError: the weights, or the code that runs, would not be pinned.
        """
        self._check(params)
        self._params, self._seed = params, seed
        self._count, self._show, self._give = count, show, give
        self._prompts = Prompts(params.task)
        self._model: LocalModel | None = None
        self.provenance = Provenance(
            "transformers", params.name, params.revision, self._prompts.hash, seed, params.temperature
        )

    @staticmethod
    def _check(params: ModelParams) -> None:
        pinned = bool(COMMIT.fullmatch(params.revision))
        if not pinned and not Path(params.name).is_dir():
            raise GenerationError(
                f"qa.model.name is '{params.name}', which is no folder here, and qa.model.revision is "
                f"'{params.revision}': give a folder, or the commit of the repository, 40 hexadecimal digits"
            )
        if params.remote_code and not pinned:
            raise GenerationError(
                "qa.model.remote_code runs code of others: it needs qa.model.revision, a commit, 40 hexadecimal digits"
            )
        if xcomposer.is_xcomposer2(params.name):
            raise GenerationError(
                "InternLM-XComposer2 needs transformers 4.33, and other versions fail on it or answer wrongly: serve "
                "it (infra/model-server) and set qa.generator to internlm"
            )

    def generate(self, chips: Iterable[ChipFacts], judge: Judge) -> Iterator[Written]:
        """What was written about each chip; see `tasks.dialogue.generator`."""
        cache, budget = AnswerCache(Path(self._params.cache)), Budget(self._params)
        left = iter(chips)
        try:
            while some := list(islice(left, self._params.in_flight)):
                writings = [self._begin(facts, judge) for facts in some]
                while asked := [(one, ask) for one in writings if (ask := one.next())]:
                    self._answer(asked, cache, budget)
                yield from (one.written() for one in writings)
        finally:
            cache.close()

    def _begin(self, facts: ChipFacts, judge: Judge) -> ChipWriting:
        given = self._give(facts, judge) if self._params.task == "reword" else ()
        pictures = self._show(facts) if self._params.pictures else ()
        count = len(given) if self._params.task == "reword" else self._count(facts)
        return ChipWriting(facts, count, self._params, self._prompts, self._seed, judge, pictures, given)

    def _answer(self, asked: Sequence[tuple[ChipWriting, Ask]], cache: AnswerCache, budget: Budget) -> None:
        new: list[tuple[ChipWriting, Ask, str]] = []
        for writing, ask in asked:
            key = ask.key(self._params.name, self.provenance.revision)
            if (known := cache.get(key)) is not None:
                writing.take(known)
                continue
            try:
                budget.reserve(prompt_tokens(ask), ask.max_tokens)
                new.append((writing, ask, key))
            except AskError as error:
                writing.fail(str(error))
        answers = self._loaded().answers([ask for _, ask, _ in new]) if new else []
        for (writing, ask, key), answer in zip(new, answers, strict=True):
            budget.settle(prompt_tokens(ask), ask.max_tokens, answer)
            writing.take(self._kept(cache, key, answer))

    @staticmethod
    def _kept(cache: AnswerCache, key: str, answer: Answer) -> Answer:
        return answer if answer.fault else cache.put(key, answer)

    def _loaded(self) -> "LocalModel":
        if self._model is None:
            from tasks.generators.local_model import LocalModel

            self._model = LocalModel(self._params)
        return self._model
