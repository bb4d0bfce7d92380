"""Pairs on their way into conversations or the ledger: nothing is lost, and each has its reason."""

import gc
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.core import tables
from tasks.core.errors import EarthloomError
from tasks.dialogue import conversations
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.ledger import REJECTED, Policy
from tasks.dialogue.pairs import (
    CONTRADICTED,
    NOT_CHECKABLE,
    SUPPORTED,
    Judge,
    Judged,
    Pair,
    Provenance,
    Usage,
    Verdict,
    Written,
)
from tasks.dialogue.verifier import judge
from tasks.dialogue.write_pairs import PairWriter, grouped
from tasks.generators.templates.generator import Choice, TemplateGenerator
from tests.fixtures.chip_facts import chips

POLICY = Policy(min_pairs=1, turns=1, max_same_type=3, max_answer_share=1)


def one(question: str, answer: str, kind: str = "presence", state: str = SUPPORTED, **changed: object) -> Judged:
    follows = bool(changed.pop("follows", False))
    return Judged(Pair(question, answer, kind, (), follows), Verdict(state, "why"), **changed)  # type: ignore[arg-type]


class Scripted:
    """A generator whose pairs are given."""

    provenance = Provenance("openai", "model", "r1", "p1", 3, 0.2)

    def __init__(self, *judged: Judged, failures: tuple[str, ...] = ()) -> None:
        self.judged, self.failures = judged, failures

    def generate(self, some: Iterable[ChipFacts], judge: Judge) -> Iterator[Written]:
        for facts in some:
            yield Written(facts.chip_id, self.judged, self.failures, Usage(2, 100, 50, 0.01), "true colour")


def run(generator, policy: Policy = POLICY, count: int = 1):
    kept, rejected = [], []
    writer = PairWriter(generator.provenance, policy, kept.append, rejected.append)
    counts = writer.run(generator, chips(count), judge)
    return kept, rejected, counts.summary()


A = one("Is there any water in this image?", "yes")
B = one("In which season was this image taken?", "summer", "season")


def test_a_pair_is_kept_with_its_provenance_evidence_and_facts() -> None:
    kept, rejected, summary = run(Scripted(A, B))
    assert not rejected and summary["written"] == summary["pairs"] == 2
    row = kept[0]
    assert (row["generator"], row["model"], row["revision"], row["prompt_hash"]) == ("openai", "model", "r1", "p1")
    assert (row["temperature"], row["rendering"], row["asks"], row["cost"]) == (0.2, "true colour", 2, 0.01)
    assert ChipFacts.from_json(row["facts"]) == next(chips(1))
    assert row["turns"][0]["verdict"] == SUPPORTED and json.loads(row["turns"][0]["evidence"]) == []
    assert json.loads(row["conversations"])[0]["value"].endswith("<image>\nIs there any water in this image?")
    assert summary["asks"] == 2 and summary["cost"] == 0.01


def test_what_is_not_supported_is_rejected_with_the_verdict_and_its_reason() -> None:
    wrong = one("Is there any forest here?", "no", state=CONTRADICTED, attempt=2)
    odd = one("How old is this forest?", "12 years", "age", NOT_CHECKABLE)
    _, rejected, summary = run(Scripted(A, wrong, odd))
    assert [(row["reason"], row["verdict"], row["attempt"]) for row in rejected] == [
        ("contradicted", "contradicted", 2),
        ("not-checkable", "not checkable", 1),
    ]
    assert rejected[0]["detail"] == "why" and rejected[0]["generator"] == "openai"
    assert summary["rejected_by_reason"] == {"contradicted": 1, "not-checkable": 1} and summary["written"] == 3


def test_a_kind_that_may_stay_unchecked_is_kept_and_marked() -> None:
    odd = one("How old is this forest?", "12 years", "age", NOT_CHECKABLE)
    wrong = one("How old is that forest?", "12 years", "age", CONTRADICTED)
    kept, rejected, summary = run(Scripted(odd, wrong), Policy(1, 1, 3, 1, frozenset({"age"})))
    (turn,) = kept[0]["turns"]
    assert (turn["verdict"], turn["reason"]) == ("not checkable", "why") and summary["unchecked"] == 1
    assert [row["reason"] for row in rejected] == ["contradicted"]


def test_an_answer_without_pairs_is_a_row_and_no_pair() -> None:
    _, rejected, summary = run(Scripted(A, failures=("length: the answer was cut short",)))
    assert [(row["reason"], row["question_type"]) for row in rejected] == [("failure", "chip")]
    assert (summary["failures"], summary["written"], summary["rejected"]) == (1, 1, 0)


def test_a_chip_with_too_few_pairs_loses_them_with_a_reason() -> None:
    kept, rejected, summary = run(Scripted(A), Policy(2, 1, 3, 1))
    assert not kept and summary["chips_without_pairs"] == 1
    assert [row["reason"] for row in rejected] == ["few-pairs", "no-pairs"] and summary["rejected"] == 1


def test_a_turn_that_refers_back_stays_with_its_turn_or_goes_with_it() -> None:
    more = one("And how much of it?", "less than a quarter", "share", follows=True)
    last = one("And where?", "north", "position", follows=True)
    kept, _, _ = run(Scripted(A, more, B))
    assert [len(row["turns"]) for row in kept] == [2, 1] and kept[0]["task"] == "mixed"
    bad = one("Is there any forest here?", "no", state=CONTRADICTED)
    kept, rejected, summary = run(Scripted(B, bad, more, last))
    assert [row["reason"] for row in rejected] == ["contradicted", "turns", "turns"] and summary["pairs"] == 1
    _, rejected, _ = run(Scripted(more, B))
    assert [row["reason"] for row in rejected] == ["turns"]


def test_conversations_hold_as_many_pairs_as_asked_for_and_never_cut_a_dialogue() -> None:
    follow = one("And where?", "north", follows=True)
    assert [len(some) for some in grouped([A, B, A, B, A], 2)] == [2, 2, 1]
    assert [len(some) for some in grouped([A, B, follow, follow, A], 2)] == [4, 1]


def test_pairs_that_contradict_each_other_are_rejected_and_counted() -> None:
    yes = Judged(Pair("Is there any water in this image?", "yes", "presence", ("water",)), Verdict(SUPPORTED))
    no = Judged(Pair("Is this image free of water?", "yes", "absence", ("water",)), Verdict(SUPPORTED))
    _, _, summary = run(Scripted(yes, no, B))
    assert summary["rejected_by_reason"] == {"consistency": 2}


def test_a_generator_that_gives_chips_in_another_order_or_too_few_is_an_error() -> None:
    class Lazy(Scripted):
        def generate(self, some, judge):
            yield from list(super().generate(some, judge))[: self.number]

    lazy = Lazy(A)
    lazy.number = 1
    with pytest.raises(EarthloomError, match="gave nothing about chip-00001"):
        run(lazy, count=2)

    class Shuffled(Scripted):
        def generate(self, some, judge):
            yield from reversed(list(super().generate(some, judge)))

    with pytest.raises(EarthloomError, match="gave chip-00001 where chip-00000 was next"):
        run(Shuffled(A), count=2)


def test_what_templates_write_is_supported_by_the_verifier_and_none_of_it_is_lost() -> None:
    kept, rejected, summary = run(TemplateGenerator(Choice(8, 5, abstention=0.05)), count=300)
    assert summary["written"] == summary["pairs"] + summary["rejected"] > 2000
    reasons = Counter(row["reason"] for row in rejected)
    assert reasons["contradicted"] == 0 and reasons["not-checkable"] < 0.005 * summary["written"], [
        (row["question"], row["answer"], row["detail"]) for row in rejected if row["reason"] != "turns"
    ][:10]
    assert {row["generator"] for row in kept} == {"template"}


def test_memory_does_not_grow_with_the_number_of_pairs(tmp_path: Path) -> None:
    peaks = []
    # The first fills what is made once in a process or remembered of texts, of which there is a bounded number: it
    # would hide or feign a growth of the others.
    for count in (900, 300, 900):
        generator = TemplateGenerator(Choice(5, 5))
        gc.collect()
        tracemalloc.start()
        with (
            tables.row_writer(conversations.SCHEMA, tmp_path / "kept.parquet", 64) as keep,
            tables.row_writer(REJECTED, tmp_path / "rejected.parquet", 64) as reject,
        ):
            PairWriter(generator.provenance, POLICY, keep, reject).run(
                generator, chips(count), lambda facts, pairs: [Verdict(SUPPORTED)] * len(pairs)
            )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert pq.read_metadata(tmp_path / "kept.parquet").num_rows > 2500
    assert peaks[2] < 2 * peaks[1]
