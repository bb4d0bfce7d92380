"""Text files that a checkpoint of EarthDial leaves with: its card, its scores, the ledger of its data."""

import json
from pathlib import Path

from tasks.earth.display_sensors import known_sensor
from tasks.evaluation.known_limits import limits_of
from tasks.exchange.checkpoints.card import card, origin
from tasks.published.our_folder import RECORD
from tasks.vlm.limits import SCORES_FILE, Limits

QUESTION = "What covers most of this image?"


def texts_beside(
    folder: Path, layout: str, data_version: str | None, data: Path, sensor: str | None = None
) -> dict[str, str]:
    """Content by name of file.

    Args:
        folder: the checkpoint.
        layout: in which it leaves.
        data_version: tag of the release of the data set.
        data: folder of the data set.
        sensor: whose images the example of the card shows; one that was trained on if None.

    Raises:
        ExchangeError: the ledger of the data set is not whole.
    """
    limits = limits_of(folder)
    known = origin(data_version, limits, data)
    title = "EarthDial, trained with Earthloom" if not (folder / RECORD).is_file() else "EarthDial, by Earthloom"
    texts = {"README.md": card(layout, title, folder, known, _example(limits, sensor))}
    if limits is not None and limits.scores is not None:
        texts[SCORES_FILE] = _json(limits.scores)
    if known.ledger is not None:
        texts["licences.json"] = _json(known.ledger.as_json())
    return texts


def _example(limits: Limits | None, sensor: str | None) -> dict[str, object]:
    """A sensor with true colour, its bands, and a question that the model was taught."""
    if sensor is not None and (limits is None or sensor not in limits.sensors):
        return {"sensor": sensor, "bands": list(known_sensor(sensor).rgb or ()), "question": QUESTION}
    for name, shown in sorted(limits.sensors.items(), reverse=True) if limits else ():
        first = known_sensor(name).rgb
        if first and sensor in (None, name) and limits is not None:
            widest = max(shown.values(), key=lambda one: len(one.bands))
            return {"sensor": name, "bands": list(widest.bands), "question": limits.examples[0]}
    return {}


def _json(content: object) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
