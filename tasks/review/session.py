"""The pairs that a reviewer is shown: a fixed sample, kinds in turn, with chip, labels, evidence and verdict."""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import tables
from tasks.core.errors import MissingInputError
from tasks.dialogue.decisions import Decisions
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.reverify import shards
from tasks.earth.grid import stable_hash
from tasks.earth.sensors import SENSORS
from tasks.generators.chip_source import ChipSource
from tasks.generators.renderings import renderings

SIDE = 512
"""Pixels of a picture's side."""
REJECTED = "rejected.parquet"


@dataclass(frozen=True)
class Shown:
    """One pair, as it is shown."""

    chip_id: str
    question: str
    answer: str
    question_type: str
    verdict: str
    reason: str
    evidence: list[dict[str, Any]]
    facts: str
    """JSON of the chip's facts; empty of rejected pairs about a chip that kept none."""
    folder: Path
    """Of the shard: data/qa/<sensor>/<part>."""


def choose(paths: Sequence[Path], most: int, seed: int, rejected: bool) -> list[Shown]:
    """A sample of pairs: kinds in turn, and within a kind in an order that the seed decides.

    Args:
        paths: tables of conversations or folders of them.
        most: pairs, at most.
        seed: of the order.
        rejected: whether pairs that the verifier did not believe are among them, about as many as those it kept.

    Raises:
        MissingInputError: there is no pair.
    """
    by_kind: dict[tuple[bool, str], list[Shown]] = defaultdict(list)
    for path in shards(paths):
        facts: dict[str, str] = {}
        for row in tables.read(path, ["chip_id", "turns", "facts"]).to_pylist():
            facts[row["chip_id"]] = row["facts"]
            for turn in row["turns"]:
                one = _shown(row["chip_id"], turn, row["facts"], path.parent, json.loads(turn["evidence"] or "[]"))
                by_kind[False, one.question_type].append(one)
        lost = path.with_name(REJECTED)
        for row in tables.read(lost).to_pylist() if rejected and lost.is_file() else ():
            if row["question"] and row["verdict"] != "supported":
                one = _shown(row["chip_id"], row, facts.get(row["chip_id"], ""), path.parent, [])
                by_kind[True, one.question_type].append(one)
    if not by_kind:
        raise MissingInputError(f"there is no pair in {', '.join(map(str, paths))}")
    for some in by_kind.values():
        some.sort(key=lambda one: stable_hash(f"{seed}/{one.chip_id}/{one.question}/{one.answer}"))
    turns = (some[number] for number in range(most) for some in by_kind.values() if number < len(some))
    return [one for one, _ in zip(turns, range(most), strict=False)]


def _shown(chip_id: str, turn: dict[str, Any], facts: str, folder: Path, evidence: list[dict[str, Any]]) -> Shown:
    texts = (turn["question"], turn["answer"], turn["question_type"], turn["verdict"], turn.get("reason") or "")
    return Shown(chip_id, *texts, evidence, facts, folder)


class Session:
    """A reviewer's sample, and where decisions go."""

    def __init__(self, pairs: Sequence[Shown], decisions: Decisions, chips: Path) -> None:
        self.pairs, self.decisions, self._chips = pairs, decisions, chips
        self._sources: dict[Path, ChipSource] = {}

    def pair(self, number: int) -> dict[str, Any]:
        """What the page shows of one pair."""
        one = self.pairs[number]
        facts = ChipFacts.from_json(one.facts) if one.facts else None
        decided = self.decisions.of(one.chip_id, one.question, one.answer)
        return {
            "number": number,
            "chip_id": one.chip_id,
            "sensor": facts.sensor if facts else one.folder.parent.name,
            "taken": f"{facts.taken:%Y-%m-%d}" if facts and facts.taken else "",
            "question": one.question,
            "answer": one.answer,
            "question_type": one.question_type,
            "verdict": one.verdict,
            "reason": one.reason,
            "evidence": one.evidence,
            "labels": [_label(label) for label in facts.labels] if facts else [],
            "decision": decided.decision if decided else "",
            "correction": decided.correction if decided else "",
        }

    def picture(self, number: int) -> bytes:
        """PNG of a pair's chip.

        Raises:
            DamagedFileError: the chip cannot be read.
        """
        one = self.pairs[number]
        sensor, part = one.folder.parent.name, one.folder.name
        folder = self._chips / sensor / part
        if folder not in self._sources:
            self._sources[folder] = ChipSource(folder)
        planes = self._sources[folder].planes(one.chip_id)
        return renderings(planes, SENSORS[sensor], 1, SIDE)[0].png()

    def score(self) -> dict[str, dict[str, int]]:
        """Verdict of the verifier -> decision of people -> pairs."""
        return score(self.decisions)


def score(decisions: Decisions) -> dict[str, dict[str, int]]:
    """Verdict of the verifier -> decision of people -> pairs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for decision in decisions:
        counts[decision.verdict or "not known"][decision.decision] += 1
    return {verdict: dict(counts[verdict]) for verdict in sorted(counts)}


def _label(label: Any) -> dict[str, Any]:
    mask = base64.b64encode(label.mask).decode() if label.mask else None
    return {
        "name": label.name,
        "source": label.source,
        "kind": label.kind,
        "fraction": label.fraction,
        "count": label.count,
        "position": label.position,
        "boxes": label.boxes,
        "mask": mask,
    }
