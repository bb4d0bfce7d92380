"""From labelled chips to conversations: pairs are written, verified, and kept or rejected with a reason."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from tasks.core import paths, tables
from tasks.core.log import progress
from tasks.core.stage import read_json
from tasks.dialogue import conversations
from tasks.dialogue.facts import ChipFacts, Draft, Label, SourceInfo
from tasks.dialogue.pairs import SUPPORTED
from tasks.dialogue.templates import TemplateGenerator
from tasks.dialogue.verify import VERIFIED, verify
from tasks.earth.sensors import SENSORS

REJECTED = pa.schema(
    [
        ("chip_id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("question_type", pa.string()),
        ("reason", pa.string()),
    ]
)
"""One row for every pair the verifier did not believe, and for every chip left with too few."""


def subjects(chip_ids: Iterable[str], sensor: str) -> Iterator[ChipFacts]:
    """Chips with their labels, in the order of `chip_ids`."""
    folder = paths.labels(sensor)
    known = {
        # Whether it is complete is known of each chip.
        name: SourceInfo(name, source["kind"], False, tuple(source["labels"]), tuple(source["change"]))
        for name, source in read_json(folder / "sources.json").items()
    }
    wholly: dict[str, dict[str, SourceInfo]] = defaultdict(dict)
    for row in tables.read(folder / "complete.parquet").to_pylist():
        looked_for = None if row["labels"] is None else frozenset(row["labels"])
        source = row["source"]
        wholly[row["chip_id"]][source] = replace(known[source], complete=True, looked_for=looked_for)
    wanted = list(chip_ids)
    rows = defaultdict(list)
    for row in tables.read(folder / "labels.parquet").to_pylist():
        rows[row["chip_id"]].append(
            Label(row["label"], row["source"], row["kind"], row["fraction"], row["count"], row["position"])
        )
    for chip_id in wanted:
        labels = tuple(rows[chip_id])
        sources = {label.source: known[label.source] for label in labels}
        yield ChipFacts(chip_id, sensor, labels, {**sources, **wholly[chip_id]})


def converse(
    subject: ChipFacts, pairs: Sequence[Draft], writer: TemplateGenerator, turns: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of conversations of `turns` pairs each, tagged for all bands of the sensor."""
    rows = []
    for number, start in enumerate(range(0, len(pairs), turns)):
        some = pairs[start : start + turns]
        types = {turn.question_type for turn in some}
        task_tags = ["[classify]"] if types <= {"dominant", "list"} else []
        text = conversations.dump(
            [(turn.question, turn.answer) for turn in some], [*task_tags, SENSORS[subject.sensor].tag]
        )
        rows.append(
            {
                "conversation_id": f"{subject.chip_id}#{number}",
                "chip_id": subject.chip_id,
                "sensor": subject.sensor,
                "task": some[0].question_type if len(types) == 1 else "mixed",
                "conversations": text,
                "turns": [
                    {
                        "question": turn.question,
                        "answer": turn.answer,
                        "question_type": turn.question_type,
                        "claim": json.dumps(turn.claim, sort_keys=True),
                        "labels_used": list(turn.labels_used),
                        "verdict": SUPPORTED,
                        "reason": "",
                        "evidence": "[]",
                        "attempt": 1,
                    }
                    for turn in some
                ],
                "label_sources": sorted(subject.sources),
                "generator": writer.name,
                "model": "",
                "revision": "",
                "prompt_hash": writer.prompt_hash,
                "seed": seed,
                "rendering": "",
                "asks": 0,
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "cost": 0.0,
                "facts": subject.to_json(),
            }
        )
    return rows


def ask(
    asked: Sequence[ChipFacts], writer: TemplateGenerator, turns: int, min_pairs: int, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Conversations about every chip, and what was rejected with its reason.

    Args:
        asked: the chips.
        writer: of the pairs; each is verified before it is kept.
        turns: pairs a conversation.
        min_pairs: a chip with fewer verified pairs is rejected.
        seed: that the writer was given, for the record.
    """
    rows: list[dict[str, Any]] = []
    rejected: list[dict[str, str]] = []
    for subject, drafts in zip(asked, progress(writer.generate(asked), "writing pairs", len(asked)), strict=True):
        good = []
        for draft in drafts:
            verdict = verify(draft, subject)
            if verdict == VERIFIED:
                good.append(draft)
            else:
                rejected.append(_rejection(subject, verdict, draft))
        if len(good) < min_pairs:
            rejected.append(_rejection(subject, f"only {len(good)} verified pairs, qa.min_pairs is {min_pairs}"))
        else:
            rows += converse(subject, good, writer, turns, seed)
    return rows, rejected


def _rejection(subject: ChipFacts, reason: str, draft: Draft | None = None) -> dict[str, str]:
    return {
        "chip_id": subject.chip_id,
        "question": draft.question if draft else "",
        "answer": draft.answer if draft else "",
        "question_type": draft.question_type if draft else "chip",
        "reason": reason,
    }
