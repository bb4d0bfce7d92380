"""What is written about one chip, ask by ask, whatever model is asked and however: one model's or another's.

What was contradicted is asked again with its reasons, what could not be read with what was wrong with it, what was cut
with more tokens. After the last ask the rest stays contradicted, in the record.
"""

from collections.abc import Sequence
from dataclasses import replace

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import CONTRADICTED, SUPPORTED, Judge, Judged, Pair, Usage, Written
from tasks.earth.grid import stable_hash
from tasks.generators.asks import Answer, Ask, Picture
from tasks.generators.params import ModelParams
from tasks.generators.prompts import Prompts
from tasks.generators.reader import read
from tasks.generators.shown_facts import says_anything

RAN_OFF = 0.5
"""Share of white space beyond which an answer ran off in it: more tokens would be more of it."""
SEEDS = 2**31
"""Servers take a seed of 32 bits, some of them with a sign."""


class ChipWriting:
    """The asks of one chip and what came of them."""

    def __init__(
        self,
        facts: ChipFacts,
        count: int,
        params: ModelParams,
        prompts: Prompts,
        seed: int,
        judge: Judge,
        pictures: Sequence[Picture] = (),
        given: Sequence[Pair] = (),
    ) -> None:
        """Begin.

        Args:
            facts: of the chip.
            count: pairs that are wanted.
            params: how the model is asked.
            prompts: of the task.
            seed: of the run.
            judge: of the pairs.
            pictures: of the chip, as it is shown.
            given: pairs to be worded anew, of the task `reword`.
        """
        self.facts = facts
        self._count, self._params, self._prompts, self._seed, self._judge = count, params, prompts, seed, judge
        self._pictures, self._given = tuple(pictures), list(given)
        self._judged: list[Judged] = []
        self._failures: list[str] = []
        self._usage = Usage()
        self._attempt = 0
        self._max_tokens = params.max_tokens
        self._done = False
        if params.task == "reword" and not given:
            self._end("there is no pair of a template to be worded anew")
        elif not says_anything(facts):
            self._end("nothing is known of the chip: there is nothing to ask")
        self._first = prompts.first(facts, count, given)
        self._added = ""
        """What a later ask says more than the first."""

    def next(self) -> Ask | None:
        """The next ask; None where there is none."""
        if self._done or self._attempt >= self._params.max_asks:
            return None
        self._attempt += 1
        return Ask(
            self._prompts.system,
            f"{self._first}\n\n{self._added}" if self._added else self._first,
            self._pictures,
            stable_hash(f"{self._seed}/{self.facts.chip_id}/{self._attempt}") % SEEDS,
            self._params.temperature,
            self._params.top_p,
            self._max_tokens,
            self._attempt,
        )

    def take(self, answer: Answer) -> None:
        """Read an answer and have its pairs judged."""
        self._usage = replace(
            self._usage,
            asks=self._usage.asks + 1,
            prompt_tokens=self._usage.prompt_tokens + answer.prompt_tokens,
            completion_tokens=self._usage.completion_tokens + answer.completion_tokens,
        )
        reading = read(answer.text)
        faults = [answer.fault] if answer.fault else list(reading.faults)
        cut = answer.finish == "length"
        if cut:
            faults = [f"the answer was cut after {answer.completion_tokens or self._max_tokens} tokens"]
            self._lengthen(answer.text)
        self._failures += [f"ask {self._attempt}: {fault}" for fault in faults]
        pairs = self._typed(reading.pairs)
        contradicted = self._judge_all(pairs)
        missing = self._missing()
        if not pairs:
            self._added = "" if cut else self._prompts.unread(faults[-1], self._count, self._given)
        elif contradicted and missing:
            self._added = self._prompts.again(contradicted, min(missing, len(contradicted)), self._given)
        else:
            self._done = not (cut and missing)

    def fail(self, why: str) -> None:
        """End without an answer to the last ask."""
        self._end(f"ask {self._attempt}: {why}")

    def written(self) -> Written:
        """All of it."""
        cost = self._params.cost(self._usage.prompt_tokens, self._usage.completion_tokens)
        rendering = "; ".join(picture.rendering for picture in self._pictures)
        return Written(
            self.facts.chip_id,
            tuple(self._judged),
            tuple(self._failures),
            replace(self._usage, cost=round(cost, 9)),
            rendering,
        )

    def _end(self, why: str) -> None:
        self._failures.append(why)
        self._done = True

    def _missing(self) -> int:
        supported = sum(one.verdict.state == SUPPORTED for one in self._judged)
        return max(0, self._count - supported)

    def _lengthen(self, text: str) -> None:
        blank = sum(character.isspace() for character in text)
        if blank <= RAN_OFF * len(text) or not text:
            self._max_tokens = min(2 * self._max_tokens, self._params.longest_tokens)

    def _typed(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Pairs worded anew are of the types of those that were given, which stand in the same order."""
        if len(pairs) != len(self._given):
            return list(pairs)
        return [
            replace(pair, question_type=given.question_type, labels_used=given.labels_used)
            for pair, given in zip(pairs, self._given, strict=True)
        ]

    def _judge_all(self, pairs: list[Pair]) -> list[Judged]:
        """Judge what is new, keep it, and give back what is contradicted."""
        kept = {(one.pair.question, one.pair.answer) for one in self._judged if one.verdict.state == SUPPORTED}
        new = [pair for pair in pairs if (pair.question, pair.answer) not in kept]
        verdicts = self._judge(self.facts, new) if new else []
        judged = [Judged(pair, verdict, self._attempt) for pair, verdict in zip(new, verdicts, strict=True)]
        self._judged += judged
        contradicted = [one for one in judged if one.verdict.state == CONTRADICTED]
        if self._given and len(pairs) == len(self._given):
            wrong = {id(one.pair) for one in contradicted}
            self._given = [given for pair, given in zip(pairs, self._given, strict=True) if id(pair) in wrong]
        return contradicted
