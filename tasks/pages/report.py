"""The report's page: everything the template shows, gathered and rendered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tasks.core import paths
from tasks.earth.areas import load_areas
from tasks.evaluation.known_limits import limits_of
from tasks.evaluation.metrics.guesses import BESIDE
from tasks.evaluation.names import MODELS
from tasks.pages import (
    charts,
    further_scores,
    gallery,
    label_maps,
    loss_charts,
    maps,
    parameter_counts,
    report_data,
    report_text,
    routing,
    series,
    svg,
    versions,
    world_map,
)
from tasks.pages.templates import environment
from tasks.pages.trained import Evaluation

HERE = Path(__file__).parent


def context(
    dataset: report_data.ReportData, chips: int, scene_maps: int, pairs: int, smoothing: float, of_rule: int
) -> Mapping[str, Any]:
    """Everything the template shows.

    Args:
        dataset: all that is read of the earlier stages.
        chips: shown of each sensor in the gallery.
        scene_maps: scenes drawn at most.
        pairs: question-answer pairs shown of a chip; the rest is folded away.
        smoothing: weight of the past in the smoothed loss curves.
        of_rule: series shown of each rule.
    """
    scenes = [(sensor.sensor.name, item) for sensor in dataset.sensors for item in sensor.scenes]
    sites = world_map.sites(scenes, load_areas())
    evaluated = [scored(one) for one in dataset.evaluations]
    return {
        "style": Markup((HERE / "style.css").read_text()),
        "headline": report_text.headline(dataset),
        "lead": report_text.lead(dataset),
        "world": world_map.draw(sites),
        "sites": maps.draw_sites(sites, dataset.sensors, scene_maps),
        "legend": maps.legend(dataset.sensors),
        "label_maps": label_maps.draw(dataset.sensors, scene_maps),
        "label_colours": label_maps.sources(dataset.sensors),
        "sensors": dataset.sensors,
        "funnels": [(sensor, charts.funnel(sensor)) for sensor in dataset.sensors],
        "cards": [card for s in dataset.sensors for card in gallery.cards(s, dataset.predictions, chips)],
        "pairs": pairs,
        "series": series.context(dataset, of_rule),
        "bands": [
            (s, charts.spectrum(s), [charts.histogram(band, s.stats["unit"]) for band in s.stats["bands"]])
            for s in dataset.sensors
        ],
        "losses": loss_charts.losses(dataset.training, smoothing),
        "evaluated": evaluated,
        "mood": evaluated[0]["mood"],
        "verdict": evaluated[0]["verdict"],
        "counted_parts": parameter_counts.counted_parts(MODELS["rsmoe"].checkpoint),
        "counted_presets": [preset.title for preset in parameter_counts.PRESETS.values()],
        "routing": routing.context(dataset),
        "board": paths.report_board().name,
        "against_controls": report_text.against_controls,
        "control_titles": charts.CONTROL_TITLES,
        "control_marks": {key: svg.key_mark(control) for key, control in BESIDE.items()},
        "further": further_scores.context(dataset),
        "taught": [(model.title, known) for model in MODELS.values() if (known := limits_of(model.checkpoint))],
        "certificate": dataset.certificate,
        "origins": report_text.origins(dataset),
        "label_sources": report_text.label_sources(dataset),
        "provenance": report_text.provenance(dataset),
        "versions": versions.versions(dataset),
    }


def scored(one: Evaluation) -> Mapping[str, Any]:
    """What the section of scores shows of one model."""
    by_type = sorted(one.scores["by_type"].items(), key=lambda row: -row[1]["n"])
    groups = [("all", one.scores["overall"])]
    for name in ("by_sensor", "by_modality"):
        scores = one.scores.get(name, {})
        groups += [(gallery.MODALITIES.get(key, key), scores[key]) for key in sorted(scores)]
    mood, sentence = report_text.verdict(one.scores, one.name)
    return {
        "key": one.key,
        "name": one.name,
        "released": one.released,
        "mood": mood,
        "verdict": sentence,
        "by_type": charts.scores(by_type, f"{one.name}: accuracy by question type"),
        "by_group": charts.scores(groups, f"{one.name}: accuracy by sensor and modality"),
        "rows": [("all", one.scores["overall"]), *by_type],
        "overall": one.scores["overall"],
        "blind_marked": [name for name, score in by_type if score.get("blind", {}).get("marked")],
        "controls": list(charts.bars(one.scores["overall"])),
        "predictions": one.predictions.height,
    }


def page(values: Mapping[str, Any]) -> str:
    """The page as text."""
    return environment(HERE, percent=charts.percent).get_template("report.html.j2").render(values)


def figures(values: Mapping[str, Any]) -> Mapping[str, str]:
    """The charts that `dvc plots` compares, as files of their own by name."""
    found = {f"funnel-{sensor.sensor.name}": chart for sensor, chart in values["funnels"]}
    found |= {f"loss-{stage['address'].replace('@', '-')}": stage["chart"] for stage in values["losses"]}
    for one in values["evaluated"]:
        found |= {f"scores-{one['key']}-by-type": one["by_type"], f"scores-{one['key']}-by-group": one["by_group"]}
    return {name: svg.standalone(chart, values["style"]) for name, chart in found.items()}
