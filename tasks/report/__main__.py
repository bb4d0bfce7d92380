"""`python -m tasks.report`: data/report/index.html, its charts, and board.html; nothing outside them is shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tasks.board.page import Places
from tasks.board.page import page as board_page
from tasks.core import paths
from tasks.core.section import load
from tasks.core.stage import Summary, atomic, main
from tasks.inference.controls import CONTROLS
from tasks.report import charts, data, gallery, maps, story, svg, world
from tasks.report.params import ReportParams
from tasks.report.template import environment

HERE = Path(__file__).parent


def context(dataset: data.Dataset, params: ReportParams) -> Mapping[str, Any]:
    """Everything the template shows."""
    scenes = [(sensor.sensor.name, item) for sensor in dataset.sensors for item in sensor.scenes]
    sites = world.sites(scenes, dataset.params.get("areas") or {})
    by_type = sorted(dataset.scores["by_type"].items(), key=lambda row: -row[1]["n"])
    groups = [("all", dataset.scores["overall"])]
    for name in ("by_sensor", "by_modality"):
        scores = dataset.scores.get(name, {})
        groups += [(gallery.MODALITIES.get(key, key), scores[key]) for key in sorted(scores)]
    mood, sentence = story.verdict(dataset.scores)
    return {
        "style": Markup((HERE / "style.css").read_text()),
        "headline": story.headline(dataset),
        "lead": story.lead(dataset),
        "world": world.draw(sites),
        "sites": maps.draw_sites(sites, dataset.sensors, params.scene_maps),
        "legend": maps.legend(dataset.sensors),
        "sensors": dataset.sensors,
        "funnels": [(sensor, charts.funnel(sensor)) for sensor in dataset.sensors],
        "cards": [
            card for s in dataset.sensors for card in gallery.cards(s, dataset.predictions, dataset.parts, params)
        ],
        "pairs": params.pairs,
        "bands": [
            (s, charts.spectrum(s), [charts.histogram(band, s.stats["unit"]) for band in s.stats["bands"]])
            for s in dataset.sensors
        ],
        "losses": charts.losses(dataset.training, params.smoothing),
        "by_type": charts.scores(by_type, "Accuracy by question type"),
        "by_group": charts.scores(groups, "Accuracy by sensor and modality"),
        "score_rows": [("all", dataset.scores["overall"]), *by_type],
        "mood": mood,
        "verdict": sentence,
        "board": paths.report_board().name,
        "standing": story.standing,
        "controls": list(charts.bars(dataset.scores["overall"])),
        "control_titles": charts.CONTROL_TITLES,
        "control_marks": {
            "majority": Markup('<span class="k majority"></span>'),
            **{control.key: svg.key_mark(control) for control in CONTROLS.values()},
        },
        "certificate": dataset.certificate,
        "origins": story.origins(dataset),
        "label_sources": story.label_sources(dataset),
        "provenance": story.provenance(dataset),
        "versions": story.versions(dataset),
        "predictions": dataset.predictions.height,
    }


def page(values: Mapping[str, Any]) -> str:
    """The page as text."""
    return environment(HERE, percent=charts.percent).get_template("page.html.j2").render(values)


def figures(values: Mapping[str, Any]) -> Mapping[str, str]:
    """The charts that `dvc plots` compares, as files of their own by name."""
    found = {f"funnel-{sensor.sensor.name}": chart for sensor, chart in values["funnels"]}
    found |= {f"loss-{number}": stage["chart"] for number, stage in zip(data.STAGES, values["losses"], strict=True)}
    found |= {"scores-by-type": values["by_type"], "scores-by-group": values["by_group"]}
    return {name: svg.standalone(chart, values["style"]) for name, chart in found.items()}


def run() -> Summary:
    """Make the pages."""
    params = load(ReportParams, "report")
    dataset = data.read()
    values = context(dataset, params)
    # The board takes what is declared of this stage, not the runs that may lie beside it.
    board = board_page(Places(runs=None, leakage=None), back=paths.report().name)
    for path, text in ((paths.report(), page(values)), (paths.report_board(), board)):
        with atomic(path) as partial:
            partial.write_text(text, encoding="utf-8")
    for name, drawing in figures(values).items():
        with atomic(paths.report().parent / "plots" / f"{name}.svg") as partial:
            partial.write_text(drawing, encoding="utf-8")
    return {
        "scenes": dataset.total("scenes"),
        "candidates": dataset.total("ledger"),
        "chips": dataset.total("chips"),
        "pairs": dataset.pairs,
        "cards": len(values["cards"]),
        "bytes": paths.report().stat().st_size,
    }


if __name__ == "__main__":
    main("report", run)
