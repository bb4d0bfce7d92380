"""Conversations in EarthDial's own schema, and the one registry of its task tags; sensors have their own.

A conversation is a JSON string `[{"from": "human"|"gpt", "value": ...}, ...]`; the first human turn carries the
sensor tag, the task tag and one `<image>` per image (spec of EarthDial, sections 1.4 and 3.3).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tasks.earth.display_sensors import NEW_TAGS
from tasks.earth.sensors import PUBLISHED_TAGS

IMAGE = "<image>"
TASK_TAGS = (
    "[grounding]", "[refer]", "[classify]", "[identify]", "[caption]", "[changedet]", "[treeclassify]", "[uhi]",
)  # fmt: skip
TAGS = (*PUBLISHED_TAGS, *TASK_TAGS, *NEW_TAGS)
"""Every tag is a token: new ones come last, so that the published ones keep their numbers."""


SCHEMA = pa.schema(
    [
        ("conversation_id", pa.string()),
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("task", pa.string()),  # presence, dominant, share, position, comparison, count, change, list, ...
        ("conversations", pa.string()),  # EarthDial's JSON, tagged for all bands of the sensor
        (
            "turns",
            pa.list_(
                pa.struct(
                    [
                        ("question", pa.string()),
                        ("answer", pa.string()),
                        ("question_type", pa.string()),
                        ("claim", pa.string()),  # JSON: what a published set gives beside the answer; else empty
                        ("labels_used", pa.list_(pa.string())),
                        (
                            "verdict",
                            pa.string(),
                        ),  # of the verifier or a person; of a published set: what was repaired
                        ("reason", pa.string()),  # why it is not checkable; else empty
                        ("evidence", pa.string()),  # JSON, a list of tasks.dialogue.pairs.Evidence
                        ("attempt", pa.int32()),  # at which ask of the chip it was written, from 1
                    ]
                )
            ),
        ),
        ("label_sources", pa.list_(pa.string())),
        ("generator", pa.string()),
        ("model", pa.string()),  # empty for templates
        ("revision", pa.string()),
        ("prompt_hash", pa.string()),
        ("seed", pa.int64()),
        ("temperature", pa.float64()),
        ("rendering", pa.string()),  # how the chip was shown to the model; empty where it was not
        ("asks", pa.int32()),  # of the chip, all its conversations together; so are tokens and cost
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("cost", pa.float64()),
        ("facts", pa.string()),  # JSON of tasks.dialogue.facts.ChipFacts: all that its pairs are verified against
    ]
)


NO_MODEL: Mapping[str, Any] = {
    "model": "", "revision": "", "prompt_hash": "", "seed": 0, "rendering": "", "asks": 0, "prompt_tokens": 0,
    "completion_tokens": 0, "cost": 0.0, "facts": "",
}  # fmt: skip
"""Columns of a conversation that no generator of ours wrote."""
NOT_VERIFIED: Mapping[str, Any] = {"reason": "", "evidence": "[]", "attempt": 1}
"""Of a turn that the verifier did not see."""


def dump(turns: Sequence[tuple[str, str]], tags: Sequence[str], images: int = 1) -> str:
    """EarthDial's JSON for (question, answer) turns; tags and `<image>` stand before the first question.

    Raises:
        ValueError: a tag is not in the registry.
    """
    unknown = [tag for tag in tags if tag not in TAGS]
    if unknown:
        raise ValueError(f"unknown tags {unknown}; known: {', '.join(TAGS)}")
    head = " ".join([*tags, *[IMAGE] * images])
    out = []
    for index, (question, answer) in enumerate(turns):
        out.append({"from": "human", "value": f"{head}\n{question}" if index == 0 else question})
        out.append({"from": "gpt", "value": answer})
    return json.dumps(out, ensure_ascii=False)


def load(conversations: str) -> list[tuple[str, str]]:
    """(question, answer) turns of EarthDial's JSON; the first question keeps its tags and `<image>`.

    Raises:
        ValueError: turns do not alternate human, gpt, or one is empty.
    """
    turns = json.loads(conversations)
    speakers = [turn["from"] for turn in turns]
    if not turns or len(turns) % 2 or speakers != ["human", "gpt"] * (len(turns) // 2):
        raise ValueError(f"turns must alternate human and gpt, got {speakers}")
    values = [turn["value"] for turn in turns]
    if not all(value.strip() for value in values):
        raise ValueError("a turn is empty")
    return list(zip(values[::2], values[1::2], strict=True))
