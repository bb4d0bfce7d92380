"""Rows of our tables for what comes in from others: a chip without a place on Earth, and a conversation about chips."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from tasks.dialogue import conversations
from tasks.earth.sensors import Sensor
from tasks.published.images import Planes, nowhere, to_geotiff
from tasks.published.repairs import Notes
from tasks.published.text import Turns

CONVERSATIONS = conversations.SCHEMA.append(pa.field("chips", pa.list_(pa.string())))
"""Our conversations, and the chips of each in the order of its `<image>`; `chip_id` is the first of them."""


def chip_row(
    chip_id: str,
    window_id: str,
    source: str,
    collection: str,
    sensor: Sensor,
    image: Planes,
    date: datetime | None = None,
) -> dict[str, Any]:
    """A row of `tasks.earth.chip_schema`: the image's planes as they are, placed nowhere.

    Args:
        chip_id: unique in all imports.
        window_id: the same for images that one row of the source shows together.
        source: where the image stands, for provenance.
        collection: data set it is of.
        sensor: what its planes belong to.
        image: (bands, H, W) in the sensor's unit.
        date: when it was taken, where the source says so.
    """
    return {
        "chip_id": chip_id,
        "window_id": window_id,
        "item_id": source,
        "collection": collection,
        "sensor": sensor.name,
        "platform": "",
        "processing_baseline": "",
        "datetime": date,
        "crs": "",
        "transform": list(nowhere(image.pixels.shape[1]))[:6],
        "width": image.pixels.shape[2],
        "height": image.pixels.shape[1],
        "bands": list(image.bands),
        "unit": sensor.unit,
        "nodata_fraction": image.nodata_fraction,
        "mask_provenance": "none",
        "pixels": to_geotiff(image),
    }


def conversation_row(
    conversation_id: str,
    chips: Sequence[str],
    sensor: Sensor,
    turns: Turns,
    task: str,
    claim: Mapping[str, Any],
    notes: Notes,
    generator: str,
    dataset: str,
) -> dict[str, Any]:
    """A row of `CONVERSATIONS`; the verdict of its turns says what was repaired and seen.

    Args:
        conversation_id: unique in all imports.
        chips: shown, in the order of their `<image>`.
        sensor: of the chips.
        turns: (question, answer) with the head set.
        task: what is asked.
        claim: what the source gives beside the answers, as JSON can hold it.
        notes: what was done to the row.
        generator: kind of source.
        dataset: name of the data set.
    """
    said = [
        {"from": speaker, "value": value}
        for turn in turns
        for speaker, value in zip(("human", "gpt"), turn, strict=True)
    ]
    verdict = "; ".join(["as published", *sorted(notes.repairs | notes.flags)])
    return {
        "conversation_id": conversation_id,
        "chip_id": chips[0],
        "chips": list(chips),
        "sensor": sensor.name,
        "task": task,
        "conversations": json.dumps(said, ensure_ascii=False),
        "turns": [
            {
                "question": question,
                "answer": answer,
                "question_type": task,
                "claim": json.dumps(claim, sort_keys=True, ensure_ascii=False, default=str),
                "labels_used": [],
                "verdict": verdict,
                **conversations.NOT_VERIFIED,
            }
            for question, answer in turns
        ],
        "label_sources": [f"{generator}/{dataset}"],
        "generator": generator,
        **conversations.NO_MODEL,
    }
