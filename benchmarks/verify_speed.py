"""Pairs a CPU-second: written from templates, verified, and reworded ones verified and deduplicated; memory over many.

    python -m benchmarks.verify_speed [--pairs 20000] [--memory 1000000]

Targets on one core: templates written 20,000 a second; template pairs verified from label rows 20,000; reworded pairs
parsed, verified and deduplicated 2,000. Chips are those of the quality suites, made up, and reworded pairs are those
of the suites, true and false, each with a wording of its own. `--memory` sends so many pairs through the writer, the
verifier, the filters and the table of conversations, and prints what the process holds after each tenth.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import psutil

from tasks.core import tables
from tasks.core.section import load
from tasks.dialogue import conversations
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.ledger import REJECTED
from tasks.dialogue.pairs import SUPPORTED, Pair
from tasks.dialogue.text_filters import TextFilter
from tasks.dialogue.verifier import judge
from tasks.dialogue.write_pairs import PairWriter
from tasks.qa import QAParams, templates
from tasks.quality.made_chips import made_chips
from tasks.quality.suites import suites

TARGETS = {"templates written": 20_000, "template pairs verified": 20_000, "reworded, verified, filtered": 2_000}
MANY = 10**9
"""No limit on pairs of one kind or of one answer: what is measured is the work, not what it keeps."""


def endless(chips: list[ChipFacts]) -> Iterator[ChipFacts]:
    """The chips over and over, each time under other names."""
    for turn in count():
        for facts in chips:
            yield replace(facts, chip_id=f"{facts.chip_id}-{turn}")


def rate(work: Callable[[], int]) -> tuple[int, float]:
    """Pairs that some work is done on, and pairs a second of the processor's time."""
    began = time.process_time()
    pairs = work()
    return pairs, pairs / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000, help="pairs of each measurement, about")
    parser.add_argument("--memory", type=int, default=0, help="pairs over which memory is watched")
    options = parser.parse_args()
    chips = list(made_chips())
    params = load(QAParams, "qa")
    writer = templates(params, chips[0].sensor)
    written: list[tuple[ChipFacts, list[Pair]]] = []

    def write() -> int:
        total = 0
        for facts in endless(chips):
            written.append((facts, writer.write(facts)))
            total += len(written[-1][1])
            if total >= options.pairs:
                return total
        return total

    def verify() -> int:
        return sum(len(judge(facts, pairs)) for facts, pairs in written)

    cases = suites(chips)
    asked: dict[str, tuple[ChipFacts, list[Pair]]] = {}
    for case in cases:
        asked.setdefault(case.facts.chip_id, (case.facts, []))[1].append(case.pair)

    def reworded() -> int:
        filters, total = TextFilter(True, MANY, 1.0), 0
        for facts, pairs in asked.values():
            verdicts = judge(facts, pairs)
            kept = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.state == SUPPORTED]
            filters.chip(kept)
            total += len(pairs)
        return total

    for (name, target), work in zip(TARGETS.items(), (write, verify, reworded), strict=True):
        pairs, speed = rate(work)
        print(f"{name}: {pairs} pairs, {speed:,.0f} a CPU-second, target {target:,}: {speed / target:.2f} x")
    if options.memory:
        watch(chips, params, options.memory)


def watch(chips: list[ChipFacts], params: QAParams, pairs: int) -> None:
    """Print what the process holds after each tenth of so many pairs."""
    process, held = psutil.Process(), []
    generator = templates(params, chips[0].sensor)

    def until() -> Iterator[ChipFacts]:
        for facts in endless(chips):
            if writer.counts.written >= (len(held) + 1) * pairs / 10:
                held.append(process.memory_info().rss / 2**20)
                if len(held) == 10:
                    return
            yield facts

    with tempfile.TemporaryDirectory() as folder:
        keep_at, reject_at = (Path(folder) / name for name in ("conversations.parquet", "rejected.parquet"))
        with tables.row_writer(conversations.SCHEMA, keep_at) as keep, tables.row_writer(REJECTED, reject_at) as reject:
            writer = PairWriter(generator.provenance, params.policy, keep, reject)
            writer.run(generator, until(), judge)
    after = ", ".join(f"{megabytes:.0f}" for megabytes in held)
    print(f"memory: {held[0]:.0f} MB after {pairs // 10:,} pairs, {held[-1]:.0f} MB after {pairs:,}; by tenths {after}")


if __name__ == "__main__":
    main()
