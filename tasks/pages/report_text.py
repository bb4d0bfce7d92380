"""The page's sentences and facts, made from the numbers: headline, verdict, origins, credits."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import pystac

from tasks.evaluation.metrics.best_control import Significance, significance
from tasks.evaluation.metrics.held_out import below_best_control
from tasks.pages.charts import CONTROL_TITLES, percent
from tasks.pages.report_data import ReportData

LABEL_CREDITS = {
    "osm": "\u00a9 OpenStreetMap contributors, ODbL 1.0.",
    "corine": "CORINE Land Cover, European Environment Agency; BigEarthNet.",
    "hansen": "Forest change: Hansen/UMD/Google/USGS/NASA.",
    "worldcover": "\u00a9 ESA WorldCover project; contains modified Copernicus Sentinel data processed "
    "by the ESA WorldCover consortium.",
}
"""What must stand beside anything made from labels of a collection, by a word of its name."""
SURELY: Mapping[Significance, str] = {"better": "surely below", "level": "not surely below", "worse": "surely above"}
"""Where the best control lies."""


def headline(data: ReportData) -> list[Mapping[str, str]]:
    """The numbers a reader takes away."""
    overall = data.scores["overall"]
    ledger, kept = data.candidates, sum(sensor.kept for sensor in data.sensors)
    base = _rival(overall)[1]
    asked = sum(sensor.questions.height for sensor in data.sensors)
    facts = [
        (count(data.scenes), "scenes", f"{len(data.sensors)} sensors"),
        (count(ledger), "candidate windows", "every one in the ledger"),
        (count(kept), "kept", f"{percent(kept / ledger)} passed every filter"),
        (count(data.pairs), "questions", f"about {count(asked)} chips, each answer recomputed"),
        (
            percent(overall["accuracy"]),
            "right on test",
            f"{data.evaluations[0].name}; {percent(base)} for the best control, {SURELY[against_controls(overall)]}",
        ),
    ]
    return [{"value": value, "name": name, "note": note} for value, name, note in facts]


def count(value: float) -> str:
    """A count with its thousands set apart."""
    return f"{value:,.0f}".replace(",", "\u202f")


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def lead(data: ReportData) -> str:
    """What was done, in one paragraph."""
    sides = sum((Counter(sensor.sides) for sensor in data.sensors), Counter[str]())
    windows, kept = data.candidates, sum(sensor.kept for sensor in data.sensors)
    tested = data.predictions["image_id"].n_unique()
    sensors = listed(sensor.sensor.name for sensor in data.sensors)
    scenes, metres = count(data.scenes), count(data.certificate["required_m"])
    return (
        f"From the catalog \u2018{data.params['catalog']}\u2019 came {scenes} scenes of {sensors}. "
        f"The ground they show was cut into {count(windows)} windows; {count(kept)} passed the filters for "
        f"data, cloud, land and labels, and {count(sides.total())} became chips with all bands of their sensor. "
        f"{count(data.pairs)} questions were asked about them, each with an answer recomputed from the "
        f"labels before it was believed. {_trained(data)} on the {count(sides['train'])} "
        f"chips of the training side, and then asked about {count(tested)} of the {count(sides['test'])} "
        f"chips of the test side, which lie at least {metres} m away."
    )


def _trained(data: ReportData) -> str:
    """`EarthDial was trained in 3 stages and RS-MoE in 2`."""
    stages = Counter(one.stage.model for one in data.training)
    first, *others = (f"{name} in {number} stages" for name, number in stages.items())
    return listed([first.replace(" in ", " was trained in "), *others])


def verdict(scores: Mapping[str, Any], model: str = "The model") -> tuple[str, str]:
    """(mood, what the scores say): better, level or worse than the best control, by the paired difference."""
    overall = scores["overall"]
    mood = against_controls(overall)
    rival, bar = _rival(overall)
    over = points(overall["over_best"])
    words = {
        "better": f"This beats the best control, {rival} ({percent(bar)}), by {over}.",
        "level": f"This is not surely better than the best control, {rival} ({percent(bar)}): {over}.",
        "worse": f"This is worse than the best control, {rival} ({percent(bar)}): {over}.",
    }
    low, high = overall["ci95"]
    groups: dict[str, list[str]] = {"better": [], "level": [], "worse": []}
    for name, score in scores["by_type"].items():
        groups[against_controls(score)].append(f"\u2018{name}\u2019")
    sentence = (
        f"{model} answers {percent(overall['accuracy'])} of {count(overall['n'])} test questions right "
        f"(95 % interval {percent(low)} to {percent(high)}). {words[mood]} "
    )
    better, level, worse = groups["better"], groups["level"], groups["worse"]
    sentence += (
        f"It surely beats every control on {listed(better)}"
        if better
        else "There is no question type on which it surely beats every control"
    )
    sentence += f"; it cannot be told apart from the best of them on {len(level)} of {len(scores['by_type'])}"
    sentence += f"; it surely falls behind on {listed(worse)}." if worse else "."
    below = below_best_control(scores["by_type"])
    named = listed(f"\u2018{name}\u2019" for name in below)
    sentence += f" By the figures alone {len(below)} of {len(scores['by_type'])} question types lie below their best "
    sentence += f"control: {named}." if below else "control."
    return mood, sentence


def points(over: Mapping[str, Any]) -> str:
    """`5.8 points (95 % interval of the difference 1.3 to 10.1)`."""
    difference, low, high = (
        f"{100 * value:.1f}".replace("-", "\u2212") for value in (over["difference"], *over["ci95"])
    )
    return f"{difference} points (95 % interval of the difference {low} to {high})"


def against_controls(score: Mapping[str, Any]) -> Significance:
    """`better`, `level` or `worse` than the best control, by the interval of the paired difference."""
    return significance(score["over_best"])


def _rival(score: Mapping[str, Any]) -> tuple[str, float]:
    over = score["over_best"]
    return CONTROL_TITLES[over["control"]], over["score"]


def origins(data: ReportData) -> list[Mapping[str, Any]]:
    """One row a scene: what in it was derived, what was inferred, where it comes from."""
    out: list[Mapping[str, Any]] = []
    for sensor in data.sensors:
        for item in sensor.scenes:
            properties = item.properties
            derived = [
                f"asset \u2018{key}\u2019"
                for key, asset in sorted(item.assets.items())
                if "derived" in (asset.roles or [])
            ]
            if "derived" in str(properties.get("earthloom:cloud_cover_source", "")):
                derived.append("cloud cover")
            out.append(
                {
                    "id": item.id,
                    "sensor": sensor.sensor.name,
                    "derived": derived,
                    "inferred": properties.get("earthloom:inferred", ""),
                    "source": properties.get("earthloom:source", ""),
                }
            )
    return out


def label_sources(data: ReportData) -> list[Mapping[str, Any]]:
    """Where labels come from: how many rows each source gave to each sensor, their licence and time, derived or not."""
    first, last = pl.col("date").str.split("/").list.first().min(), pl.col("date").str.split("/").list.last().max()
    return [
        {
            "sensor": sensor.sensor.name,
            **row,
            "dates": row["first"] if row["first"] == row["last"] else f"{row['first']} to {row['last']}",
        }
        for sensor in data.sensors
        for row in sensor.labels.group_by("source", "derived")
        .agg(
            rows=pl.len(),
            chips=pl.col("chip_id").n_unique(),
            licence=pl.col("licence").first(),
            first=first.fill_null(""),
            last=last.fill_null(""),
        )
        .sort("source")
        .collect(engine="streaming")
        .to_dicts()
    ]


def provenance(data: ReportData) -> list[Mapping[str, Any]]:
    """One row a collection of scenes or labels: its items, their licences and the credit to keep."""
    found: dict[str, dict[str, Any]] = {}
    for sensor in data.sensors:
        credits = [(item, [sensor.sensor.credit]) for item in sensor.scenes]
        for item, credit in [*credits, *((item, _label_credits(item)) for item in sensor.label_items)]:
            row = found.setdefault(
                item.collection_id or "",
                {"items": {}, "licences": set(), "providers": set(), "years": set(), "credits": credit},
            )
            row["items"][item.id] = item.properties.get("platform", "")
            row["licences"].add(str(item.properties.get("license", "not stated by the item")))
            row["providers"] |= {p["name"] for p in item.properties.get("providers", [])}
            row["years"].add(_year(item))
    return [
        {
            "collection": name,
            "items": len(row["items"]),
            "licences": sorted(row["licences"]),
            "providers": sorted(row["providers"]),
            "credit": " ".join(row["credits"]).format(years=", ".join(sorted(row["years"] - {""}))),
        }
        for name, row in sorted(found.items())
    ]


def _label_credits(item: pystac.Item) -> list[str]:
    return [text for word, text in LABEL_CREDITS.items() if word in (item.collection_id or "")]


def _year(item: pystac.Item) -> str:
    when = item.datetime or item.common_metadata.start_datetime
    return str(when.year) if when else ""
