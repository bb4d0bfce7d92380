"""The prompts: versioned files beside this module, whose every placeholder is filled, once and from data."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Judged, Pair
from tasks.generators.shown_facts import as_data, name_of, shown

FOLDER = Path(__file__).with_name("prompts")
EXAMPLES, SCHEMA = "examples.json", "schema.json"
TASKS = {"write": "write.md", "reword": "reword.md"}
TYPES = (
    "presence", "absence", "multi-label", "scene-class", "dominant", "list", "share", "comparison", "adjacency",
    "position", "count", "caption", "detailed-caption", "region-caption", "referring", "grounding", "change", "season",
    "date", "country", "spectral", "backscatter", "temperature", "nearby", "abstention",
)  # fmt: skip
"""What a model may call its questions."""
_VERSION = re.compile(r"version: (\d+)\n")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_MOST_WRONG = 12
"""Contradicted pairs that are given back."""


class Prompts:
    """The prompts of one task."""

    def __init__(self, task: str) -> None:
        self.task = task
        self._sections = sections(FOLDER / TASKS[task])
        examples = json.loads((FOLDER / EXAMPLES).read_text(encoding="utf-8"))
        shots = _rewordings(examples) if task == "reword" else _written(examples)
        self.system = fill(self._sections["system"], {"examples": shots, "types": ", ".join(TYPES)})
        self.hash = _hash(FOLDER / TASKS[task], FOLDER / EXAMPLES, FOLDER / SCHEMA)

    def first(self, facts: ChipFacts, count: int, given: Sequence[Pair]) -> str:
        """The first ask of a chip.

        Args:
            facts: of the chip.
            count: pairs that are wanted.
            given: pairs to be worded anew, of the task `reword`.
        """
        return fill(self._sections["user"], {"facts": shown(facts), "count": str(count), "pairs": _pairs(given)})

    def again(self, wrong: Sequence[Judged], count: int, given: Sequence[Pair]) -> str:
        """A later ask, after pairs that were contradicted."""
        rows = [
            {"question": one.pair.question, "answer": one.pair.answer, "reason": one.verdict.reason}
            for one in wrong[:_MOST_WRONG]
        ]
        return fill(self._sections["again"], {"wrong": as_data(rows), "count": str(count), "pairs": _pairs(given)})

    def unread(self, why: str, count: int, given: Sequence[Pair]) -> str:
        """A later ask, after an answer that held no pairs."""
        quoted = as_data(name_of(why))
        return fill(self._sections["unread"], {"why": quoted, "count": str(count), "pairs": _pairs(given)})


def sections(path: Path) -> dict[str, str]:
    """Sections of a prompt file by their headings; its first line is its version.

    Raises:
        ValueError: it has no version, or a section twice.
    """
    text = path.read_text(encoding="utf-8")
    if not _VERSION.match(text):
        raise ValueError(f"{path.name} does not begin with its version, such as `version: 1`")
    parts = re.split(r"(?m)^## (\w+)\n", text)[1:]
    found = {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
    if len(found) * 2 != len(parts):
        raise ValueError(f"{path.name} has a section twice")
    return found


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its placeholders filled, in one pass: what is put in is never a template itself.

    Raises:
        KeyError: there is no value for one.
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


@cache
def schema(task: str) -> dict[str, Any]:
    """JSON schema of an answer; of pairs worded anew, only the two texts are asked for."""
    loaded: dict[str, Any] = json.loads((FOLDER / SCHEMA).read_text(encoding="utf-8"))
    if task == "reword":
        pair = loaded["properties"]["pairs"]["items"]
        pair["required"] = ["question", "answer"]
        pair["properties"] = {name: pair["properties"][name] for name in pair["required"]}
    return loaded


def _pairs(pairs: Sequence[Pair]) -> str:
    return as_data({"pairs": [{"question": pair.question, "answer": pair.answer} for pair in pairs]})


def _written(examples: Mapping[str, Any]) -> str:
    out = []
    for one in examples["examples"]:
        facts = ChipFacts.from_json(json.dumps(one["facts"]))
        out.append(f"Example:\n<facts>{shown(facts)}</facts>\n{as_data({'pairs': one['pairs']})}")
    return "\n\n".join(out)


def _rewordings(examples: Mapping[str, Any]) -> str:
    return "\n\n".join(
        f"Example:\n{as_data({'pairs': one['given']})}\nis worded anew:\n{as_data({'pairs': one['pairs']})}"
        for one in examples["rewordings"]
    )


def _hash(*files: Path) -> str:
    return hashlib.blake2b(b"\0".join(file.read_bytes() for file in files), digest_size=8).hexdigest()
