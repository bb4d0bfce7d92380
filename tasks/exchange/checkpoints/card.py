"""The card of a checkpoint of EarthDial that leaves: what it was trained on and how, its scores, its limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.core import paths
from tasks.core.stage import read_json
from tasks.earth.display_sensors import known_sensor
from tasks.exchange.exports.licences import Ledger, ledger
from tasks.published.our_folder import RECORD
from tasks.vlm.limits import Limits, best_control
from tasks.vlm.taught import Shown

RECIPE = "recipe.json"
SETTINGS = ("learning_rate", "epochs", "max_steps", "train", "batch", "max_length", "seed", "dtype", "lora")
"""Parameters of a stage that its row of the card names, as far as it has them; recipe.json holds all."""


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint comes from, as far as whoever exports it says."""

    data_version: str | None
    """Tag of the release of the data set that it was trained on."""
    limits: Limits | None
    ledger: Ledger | None


def origin(data_version: str | None, limits: Limits | None, data: Path) -> Origin:
    """With the ledger of the data set's sources, where the data set lies here and the checkpoint says what it saw.

    Args:
        data_version: tag of its release.
        limits: of the checkpoint.
        data: folder of the data set.

    Raises:
        ExchangeError: the ledger is not whole.
    """
    sensors = [name for name in limits.sensors if (data / "labels" / name).is_dir()] if limits else []
    if not sensors or limits is None or len(sensors) < len(limits.sensors):
        return Origin(data_version, limits, None)
    folders = [folder for name in sensors for folder in paths.labels_of_parts(name, data)]
    said = [read_json(folder / "licences.json") for folder in folders]
    sources = {name for one in said for name in one["labels"]}
    # What was computed from the scenes themselves has no entry of its own, and is under the scenes' licence.
    derived = {name for folder in folders for name in read_json(folder / "sources.json")}
    collections = {name for one in said for name in one["scenes"]}
    return Origin(data_version, limits, ledger(data, sensors, sources | derived, collections))


def card(layout: str, title: str, folder: Path, known: Origin, example: Mapping[str, Any]) -> str:
    """The text of README.md.

    Args:
        layout: in which it leaves.
        title: name of the model.
        folder: the checkpoint.
        known: where it comes from.
        example: what the example of how it is asked needs: `sensor`, `bands`, `question`.
    """
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # Markdown, not HTML: nothing is escaped but the bars of tables
    made.filters.update(cell=lambda text: " ".join(str(text).split()).replace("|", "\\|"))
    limits = known.limits
    recipe = read_json(folder / RECIPE)["stages"] if (folder / RECIPE).is_file() else []
    record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
    scores = (limits.scores if limits else None) or {}
    rows = [("all", scores["overall"])] if "overall" in scores else []
    rows += [(name, score) for name, score in sorted(scores.get("by_modality", {}).items())]
    rows += [(name, score) for name, score in sorted(scores.get("by_type", {}).items())]
    return made.get_template("card.md.j2").render(
        layout=layout,
        title=title,
        known=known,
        limits=limits,
        recipe=[(stage["name"], _settings(stage)) for stage in recipe],
        preset=recipe[-1].get("model", {}).get("preset") if recipe else None,
        record=record,
        rows=[(name, score, best_control(score)) for name, score in rows if isinstance(score.get("accuracy"), float)],
        shown=[(name, kind, one) for name, shown in _sensors(limits) for kind, one in sorted(shown.items())],
        unit=known_sensor(example["sensor"]).unit if example else "",
        **{"sensor": "", "bands": [], "question": "", **example},
    )


def _settings(stage: Mapping[str, Any]) -> str:
    flat = {**stage.get("common", {}), **stage.get("stage", {})}
    return ", ".join(f"{name} {flat[name]}" for name in SETTINGS if flat.get(name) is not None)


def _sensors(limits: Limits | None) -> list[tuple[str, Mapping[str, Shown]]]:
    return sorted(limits.sensors.items()) if limits else []
