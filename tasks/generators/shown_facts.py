"""The facts of a chip as a model is shown them: JSON that no name in it can break out of."""

import json
import unicodedata
from typing import Any

import numpy as np

from tasks.dialogue import boxes
from tasks.dialogue.facts import ChipFacts, Label
from tasks.earth.label_masks import Box

LONGEST_NAME = 80
"""Characters of a name; what is longer is a text, not a label."""
MOST_BOXES = 5
"""Of a label, largest first."""
FRAME = {"complete", "sensor", "width in metres"}
"""What is known of every chip."""
MOST_ABSENT = 24
"""Names of absent labels: a vocabulary may have hundreds."""


def name_of(text: str) -> str:
    """A name from outside, on one line and of bounded length."""
    plain = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    joined = " ".join(plain.split())
    return joined if len(joined) <= LONGEST_NAME else joined[: LONGEST_NAME - 1] + "…"


def as_data(value: Any) -> str:
    """JSON in which no tag, and no token of a chat template, can be written: <, > and [UNUSED_ are escaped."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("[UNUSED", "\\u005bUNUSED")


def says_anything(facts: ChipFacts) -> bool:
    """Whether there is anything to ask about a chip."""
    return bool(_body(facts).keys() - FRAME)


def shown(facts: ChipFacts) -> str:
    """All that a model may say of a chip, as one line of JSON."""
    return as_data(_body(facts))


def _body(facts: ChipFacts) -> dict[str, Any]:
    absent = [name_of(name) for name in facts.absent(tags=False)]
    body = {
        "labels": [_area(label) for label in facts.areas.values()],
        "objects": [_area(label) | {"kind": label.kind} for label in facts.objects.values()],
        "around": [name_of(name) for name in facts.tags],
        "changes": [_area(label) | ({"when": label.date} if label.date else {}) for label in facts.changes.values()],
        "absent": absent[:MOST_ABSENT],
        "absent around": [name_of(name) for name in facts.absent(tags=True)][:MOST_ABSENT],
        "complete": facts.is_partition,
        "sensor": facts.sensor,
        "date": facts.taken.date().isoformat() if facts.taken else None,
        "country": name_of(facts.country) if facts.country else None,
        "width in metres": round(facts.side) if facts.side else None,
        "measured": {name_of(name): dict(values) for name, values in sorted(facts.pixels.items())},
    }
    return {name: value for name, value in body.items() if value not in (None, [], {})}


def _area(label: Label) -> dict[str, Any]:
    share = None if label.fraction is None else f"{round(100 * label.fraction)} %"
    row = {
        "name": name_of(label.name),
        "share": share,
        "position": label.position,
        "count": label.count,
        "length in metres": None if label.length is None else round(label.length),
        "boxes": _boxes(label.boxes[:MOST_BOXES]) if label.boxes else None,
    }
    return {name: value for name, value in row.items() if value is not None}


def _boxes(corners: tuple[Box, ...]) -> str:
    rows = [((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0.0) for x1, y1, x2, y2 in corners]
    return boxes.write(np.array(rows))
