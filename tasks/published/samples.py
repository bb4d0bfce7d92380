"""Imported data sets as rows for a mixture: conversations with the chips they show and where these lie."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tasks.core import tables
from tasks.core.errors import MissingInputError
from tasks.core.stage import read_json
from tasks.earth.display_sensors import known_sensor
from tasks.published.registry import by_name
from tasks.vlm.bands import Modality

SUMMARY, STATS = "summary.json", "stats.json"
CHIP_COLUMNS = ("chip_id", "sensor", "bands", "width", "height", "datetime")


def samples_of(folder: Path) -> Iterator[dict[str, Any]]:
    """Every conversation of one imported data set, in its order; one chunk is in memory at a time.

    Yields `sample_id`, `images` (for each: shard, chip_id, sensor, modality, bands in the order they are shown, width,
    height, datetime), `conversations` and `question_types`, with the `sensor`, `modality` and `chip_id` of the first
    image beside them. How often a sample is seen is the mixture's to say.

    Raises:
        MissingInputError: the folder is no finished import, or lacks a chip.
    """
    modality = _modality(folder)
    for part in sorted((folder / "conversations").glob("part-*.parquet")):
        shard = folder / "chips" / part.name.replace("part-", "shard-")
        chips = {row["chip_id"]: row for row in tables.read(shard, CHIP_COLUMNS).to_pylist()}
        columns = ["conversation_id", "chips", "conversations", "turns"]
        for row in tables.read(part, columns).to_pylist():
            missing = [name for name in row["chips"] if name not in chips]
            if missing:
                raise MissingInputError(f"{shard} has no chip {missing[0]}; import the data set again")
            images = [_image(chips[name], shard, modality) for name in row["chips"]]
            yield {
                "sample_id": f"{row['conversation_id']}/{modality}",
                "chip_id": images[0]["chip_id"],
                "sensor": images[0]["sensor"],
                "modality": modality,
                "images": images,
                "conversations": row["conversations"],
                "question_types": [turn["question_type"] for turn in row["turns"]],
            }


def statistics_of(folder: Path) -> Path:
    """The file of a data set's statistics, in the layout of stage `stats`.

    Raises:
        MissingInputError: the folder is no finished import.
    """
    _modality(folder)
    return folder / STATS


def imported_statistics(folders: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Statistics of every sensor of imported data sets together, in the layout of stage `stats`, by sensor."""
    statistics: dict[str, dict[str, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        stats = read_json(statistics_of(folder))
        for band in stats["bands"]:
            statistics[stats["sensor"]][band["name"]].append((band["count"], band["mean"], band["std"]))
    return {
        sensor: {"sensor": sensor, "bands": [_together(name, np.array(parts)) for name, parts in bands.items()]}
        for sensor, bands in statistics.items()
    }


def _together(name: str, parts: NDArray[np.float64]) -> dict[str, Any]:
    """One band of several data sets, from the (count, mean, std) of each."""
    count, mean, std = parts.T
    total = float(np.average(mean, weights=count))
    deviation = float(np.sqrt(np.average(std**2 + (mean - total) ** 2, weights=count)))
    return {"name": name, "count": int(count.sum()), "mean": total, "std": deviation}


def _modality(folder: Path) -> Modality:
    if not (folder / SUMMARY).is_file():
        raise MissingInputError(
            f"{folder} is no finished import; run `earthloom import earthdial-instruct`, or `import llava` and its "
            "like, first"
        )
    summary = read_json(folder / SUMMARY)
    if "modality" in summary:
        return cast(Modality, summary["modality"])
    entry = by_name(summary["entry"])
    if entry is None:
        raise MissingInputError(f"{folder} was imported as a set that is no longer known; import it again")
    return entry.modality


def _image(chip: dict[str, Any], shard: Path, modality: Modality) -> dict[str, Any]:
    colours = known_sensor(chip["sensor"]).rgb or ()
    others = [band for band in chip["bands"] if band not in colours]
    return {
        "shard": shard.as_posix(),
        "chip_id": chip["chip_id"],
        "sensor": chip["sensor"],
        "modality": modality,
        "bands": [*colours, *others],
        "width": chip["width"],
        "height": chip["height"],
        "datetime": chip["datetime"],
    }
