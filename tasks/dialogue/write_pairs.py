"""From labelled chips to conversations: pairs are written, verified, filtered, and kept or rejected with a reason.

Every pair that was ever written is in a conversation or a row of rejected.parquet, and `Counts` says how many there are
of each; `run` holds the two against each other.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from tasks.core.errors import EarthloomError
from tasks.dialogue import conversations
from tasks.dialogue.consistency import contradictions
from tasks.dialogue.decisions import Decisions
from tasks.dialogue.facts import SourceInfo
from tasks.dialogue.kinds import TASK_TAGS
from tasks.dialogue.ledger import Add, Counts, Policy
from tasks.dialogue.pairs import (
    ACCEPTED,
    CONTRADICTED,
    NOT_CHECKABLE,
    SUPPORTED,
    Judged,
    Pair,
    Provenance,
    Verdict,
    Written,
)
from tasks.dialogue.text_filters import Fault, TextFilter

REJECTED_BY_PERSON = "a person rejected it"


class Facts(Protocol):
    """What is known of what is asked about: a chip, or a series of images."""

    @property
    def chip_id(self) -> str:
        """Its name in tables."""

    @property
    def sensor(self) -> str:
        """Of its first image."""

    @property
    def sources(self) -> Mapping[str, SourceInfo]:
        """Label sources that describe it."""

    @property
    def sensor_tags(self) -> tuple[str, ...]:
        """Tags of its sensors."""

    @property
    def image_count(self) -> int:
        """How many images show it."""

    def to_json(self) -> str:
        """All of it."""


F = TypeVar("F", bound=Facts)


class WritesPairs(Protocol[F]):
    """A `tasks.dialogue.generator.PairGenerator` of chips, or its like of series."""

    def generate(self, chips: Iterable[F], judge: Callable[[F, Sequence[Pair]], list[Verdict]], /) -> Iterator[Written]:
        """What was written about each, in their order."""


class PairWriter:
    """Writes what a generator wrote about the chips of one part. One for a run."""

    def __init__(
        self, provenance: Provenance, policy: Policy, keep: Add, reject: Add, decisions: Decisions | None = None
    ) -> None:
        """`keep` takes rows of conversations, `reject` rows of `REJECTED`; decisions of people come before verdicts."""
        self._decisions = decisions
        self.provenance, self.policy, self.counts = provenance, policy, Counts()
        free = provenance.generator != "template"
        self._filter = TextFilter(free, policy.max_same_type, policy.max_answer_share)
        self._keep, self._reject = keep, reject

    def run(
        self, generator: WritesPairs[F], chips: Iterable[F], judge: Callable[[F, Sequence[Pair]], list[Verdict]]
    ) -> Counts:
        """All chips, one after the other as the generator is done with them."""
        pending: deque[F] = deque()

        def remembered() -> Iterator[F]:
            for facts in chips:
                pending.append(facts)
                yield facts

        for written in generator.generate(remembered(), judge):
            facts = pending.popleft()
            if facts.chip_id != written.chip_id:
                raise EarthloomError(
                    f"generator '{self.provenance.generator}' gave {written.chip_id} where {facts.chip_id} was next"
                )
            self._chip(facts, written)
        if pending:
            raise EarthloomError(f"generator '{self.provenance.generator}' gave nothing about {pending[0].chip_id}")
        return self.counts

    def _chip(self, facts: Facts, written: Written) -> None:
        counts, usage = self.counts, written.usage
        counts.chips += 1
        counts.written += len(written.judged)
        counts.usage.update(
            asks=usage.asks, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
        )
        counts.cost += usage.cost
        for failure in written.failures:
            counts.failures += 1
            self._reject(self._row(facts, "failure", failure))
        good = self._believed(facts, self._decided(facts, written.judged))
        good = self._without_faults(facts, good)
        if len(good) < self.policy.min_pairs:
            detail = f"{len(good)} pairs are left of the chip, qa.min_pairs is {self.policy.min_pairs}"
            for judged in good:
                self._lose(facts, judged, Fault("few-pairs", detail))
            counts.chips_without += 1
            self._reject(self._row(facts, "no-pairs", detail))
            return
        for number, some in enumerate(grouped(good, self.policy.turns)):
            self._keep(self._conversation(facts, written, number, some))
            counts.conversations += 1
            counts.kept.update(judged.pair.question_type for judged in some)
            counts.unchecked += sum(judged.verdict.state == NOT_CHECKABLE for judged in some)

    def _decided(self, facts: Facts, judged: Sequence[Judged]) -> list[Judged]:
        """Pairs as people decided: those that they accepted or corrected stand, those that they rejected do not."""
        out = []
        for one in judged:
            found = self._decisions.of(facts.chip_id, one.pair.question, one.pair.answer) if self._decisions else None
            if found is not None:
                self.counts.decided += 1
                if found.decision == "reject":
                    verdict = replace(one.verdict, state=CONTRADICTED, reason=REJECTED_BY_PERSON)
                else:
                    verdict = replace(one.verdict, state=ACCEPTED)
                answer = found.correction or one.pair.answer
                one = replace(one, pair=replace(one.pair, answer=answer), verdict=verdict)
            out.append(one)
        return out

    def _believed(self, facts: Facts, judged: Sequence[Judged]) -> list[Judged]:
        """The pairs that the verifier supports, or that may stay unchecked."""

        def verdict(one: Judged) -> Fault | None:
            state = one.verdict.state
            if one.verdict.reason == REJECTED_BY_PERSON:
                return Fault("person", REJECTED_BY_PERSON)
            if state in (SUPPORTED, ACCEPTED) or (
                state != CONTRADICTED and one.pair.question_type in self.policy.keep_unchecked
            ):
                return None
            return Fault(state.replace(" ", "-"), one.verdict.reason)

        return self._sifted(facts, judged, [verdict(one) for one in judged])

    def _without_faults(self, facts: Facts, judged: list[Judged]) -> list[Judged]:
        """Those without a fault of text, and without one that says otherwise."""
        good = self._sifted(facts, judged, self._filter.chip([one.pair for one in judged]))
        found = contradictions(good)
        return self._sifted(facts, good, [found.get(place) for place in range(len(good))])

    def _sifted(self, facts: Facts, judged: Sequence[Judged], faults: Sequence[Fault | None]) -> list[Judged]:
        """Those without a fault; what refers back to one that has, has lost what it is about."""
        good: list[Judged] = []
        lost = False
        for one, fault in zip(judged, faults, strict=True):
            if not one.pair.follows:
                lost = False
            if fault is None and lost:
                fault = Fault("turns", "the turn that it refers to was rejected")
            if fault is None and one.pair.follows and not good:
                fault = Fault("turns", "it refers to a turn that is not there")
            if fault is None:
                good.append(one)
            else:
                lost = True
                self._lose(facts, one, fault)
        return good

    def _lose(self, facts: Facts, judged: Judged, fault: Fault) -> None:
        self.counts.rejected[fault.reason] += 1
        pair = judged.pair
        row = self._row(facts, fault.reason, fault.detail)
        own = {"question": pair.question, "answer": pair.answer, "question_type": pair.question_type}
        self._reject({**row, **own, "verdict": judged.verdict.state, "attempt": judged.attempt})

    def _row(self, facts: Facts, reason: str, detail: str) -> dict[str, Any]:
        return {
            "chip_id": facts.chip_id,
            "sensor": facts.sensor,
            "question": "",
            "answer": "",
            "question_type": "chip",
            "reason": reason,
            "detail": detail,
            "verdict": "",
            "attempt": 0,
            "generator": self.provenance.generator,
        }

    def _conversation(self, facts: Facts, written: Written, number: int, some: Sequence[Judged]) -> dict[str, Any]:
        """One row of conversations.parquet, tagged for all bands of the sensor."""
        types = [one.pair.question_type for one in some]
        task_tags = {TASK_TAGS.get(kind, "") for kind in types}
        task_tag = task_tags.pop() if len(task_tags) == 1 else ""
        tags = [*([task_tag] if task_tag else []), *facts.sensor_tags]
        texts = [(one.pair.question, one.pair.answer) for one in some]
        origin, usage = self.provenance, written.usage
        return {
            "conversation_id": f"{facts.chip_id}#{number}",
            "chip_id": facts.chip_id,
            "sensor": facts.sensor,
            "task": types[0] if len(set(types)) == 1 else "mixed",
            "conversations": conversations.dump(texts, tags, facts.image_count),
            "turns": [
                {
                    "question": one.pair.question,
                    "answer": one.pair.answer,
                    "question_type": one.pair.question_type,
                    "claim": "",
                    "labels_used": list(one.pair.labels_used),
                    "verdict": one.verdict.state,
                    "reason": one.verdict.reason,
                    "evidence": one.verdict.evidence_json(),
                    "attempt": one.attempt,
                }
                for one in some
            ],
            "label_sources": sorted(facts.sources),
            "generator": origin.generator,
            "model": origin.model,
            "revision": origin.revision,
            "prompt_hash": origin.prompt_hash,
            "seed": origin.seed,
            "temperature": origin.temperature,
            "rendering": written.rendering,
            "asks": usage.asks,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost": usage.cost,
            "facts": facts.to_json(),
        }


def grouped(judged: Sequence[Judged], turns: int) -> Iterator[list[Judged]]:
    """Conversations of `turns` pairs; what refers back stays with what it refers to."""
    some: list[Judged] = []
    for one in judged:
        if len(some) >= turns and not one.pair.follows:
            yield some
            some = []
        some.append(one)
    if some:
        yield some
