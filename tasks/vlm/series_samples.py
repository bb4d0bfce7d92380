"""Samples of several images: the conversations that stage `series` left, as rows of a mixture."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core import paths, tables
from tasks.core.errors import MissingInputError
from tasks.core.stage import require
from tasks.dialogue import conversations
from tasks.dialogue.kinds import TASK_TAGS
from tasks.dialogue.series.facts import sensor_tags
from tasks.earth.sensors import SENSORS
from tasks.vlm.bands import Modality, bands_to_load
from tasks.vlm.samples import bare_question

SeriesKind = Literal["dates", "sensors"]
SeriesWeights = Mapping[Modality, Mapping[SeriesKind, float]]
"""How the optical images of a series are shown, `sar` where it has none -> kind of series -> times an epoch."""
IMAGE = pa.struct(
    [
        ("shard", pa.string()),  # path from the root of the project
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("bands", pa.list_(pa.string())),  # of the chip
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("datetime", pa.timestamp("us", tz="UTC")),
    ]
)
SCHEMA = pa.schema(
    [
        ("series_id", pa.string()),  # <window_id>_<rule>_<sensors>_<dates>
        ("rule", pa.string()),  # its name under `series.rules`
        ("kind", pa.string()),  # dates or sensors
        ("window_id", pa.string()),
        ("split", pa.string()),  # of all its chips
        ("days", pa.float64()),  # between the first date and the last
        ("images", pa.list_(IMAGE)),  # in the order in which they are shown
    ]
)
"""One row of series.parquet."""
BATCH = 512


def series_rows(side: str, weights: SeriesWeights, repeats: Callable[[str, float], int]) -> Iterator[dict[str, Any]]:
    """Rows of a mixture's schema for every conversation about a series of one side, once in each modality that is
    weighted; both tables are in the order of their series and are read side by side.

    Args:
        side: of the split.
        weights: none for no series.
        repeats: times that a sample of some weight is seen in an epoch.

    Raises:
        MissingInputError: a conversation is about no series of the table.
    """
    if not any(weight for kinds in weights.values() for weight in kinds.values()):
        return
    series = _batched("series.parquet")
    known: dict[str, Any] = {}
    for talk in _batched("conversations.parquet", ["conversation_id", "chip_id", "conversations", "turns"]):
        while known.get("series_id") != talk["chip_id"]:
            known = next(series, {})
            if not known:
                raise MissingInputError(
                    f"{paths.series()} has questions about series {talk['chip_id']}, but no such series: "
                    "rebuild stage `series`"
                )
        if known["split"] == side:
            yield from _shown(known, talk, weights, repeats)


def _shown(
    series: Mapping[str, Any], talk: Mapping[str, Any], weights: SeriesWeights, repeats: Callable[[str, float], int]
) -> Iterator[dict[str, Any]]:
    images = series["images"]
    optical = any(SENSORS[image["sensor"]].rgb for image in images)
    types = [turn["question_type"] for turn in talk["turns"]]
    turns = conversations.load(talk["conversations"])
    texts = [(bare_question(turns[0][0]), turns[0][1]), *turns[1:]]
    task = {TASK_TAGS.get(kind, "") for kind in types}
    for modality, kinds in weights.items():
        weight = kinds.get(series["kind"], 0)
        if not weight or (modality == "sar") == optical:
            continue
        shown = [_image(image, modality) for image in images]
        tags = [*([tag] if len(task) == 1 and (tag := next(iter(task))) else []),
                *sensor_tags([image["sensor"] for image in images], rgb=modality == "rgb")]  # fmt: skip
        sample_id = f"{talk['conversation_id']}/{modality}"
        yield {
            "sample_id": sample_id,
            "chip_id": shown[0]["chip_id"],
            "sensor": shown[0]["sensor"],
            "modality": shown[0]["modality"],
            "images": shown,
            "conversations": conversations.dump(texts, tags, len(shown)),
            "question_types": types,
            "repeats": repeats(sample_id, weight),
        }


def _image(image: Mapping[str, Any], modality: Modality) -> dict[str, Any]:
    sensor = SENSORS[image["sensor"]]
    own: Modality = modality if sensor.rgb else "sar"
    return {**image, "modality": own, "bands": bands_to_load(sensor, own, image["bands"])}


def _batched(name: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    path = require(paths.series() / name)
    with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(BATCH, columns=columns):
            yield from batch.to_pylist()
