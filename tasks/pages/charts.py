"""The charts: filter funnel, spectra, histograms, scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tasks.evaluation.metrics.best_control import significance
from tasks.evaluation.metrics.guesses import BESIDE
from tasks.pages.maps import REASONS
from tasks.pages.sensor_data import SensorData
from tasks.pages.svg import Plot, mark_style, short_number

CONTROL_TITLES = {key: control.title for key, control in BESIDE.items()}
"""What a score must beat, by its name in scores.json: who guesses, and as many as `evaluate.controls` asked for."""


def percent(value: float) -> str:
    """A share as people read it: one decimal where it matters."""
    return f"{100 * value:.1f} %"


def funnel(data: SensorData) -> Markup:
    """What is left after each filter, from candidates to chips with conversations."""
    steps: list[tuple[str, int, str]] = [("candidates", data.candidates, "")]
    left = data.candidates
    for name, count in data.dropped.items():
        left -= count
        steps.append((REASONS.get(name, name), left, f"\u2212{short_number(count)}" if count else "0"))
    asked = data.questions.height
    for name, count in (("pixels unreadable", data.chips.height), ("no question", asked)):
        steps.append((name, count, f"\u2212{short_number(left - count)}" if left - count else "0"))
        left = count
    steps.append(("with questions", left, ""))
    row, wide, start = 25.0, 122.0, 154.0
    label = f"{data.sensor.name}: " + ", ".join(f"{count} after {name}" for name, count, _ in steps)
    plot = Plot(
        364,
        row * len(steps) + 6,
        (0, data.candidates),
        (0, 1),
        label,
        left=start,
        right=364 - start - wide,
    )
    before = data.candidates
    for index, (name, count, lost) in enumerate(steps):
        y = 4 + row * index
        ends = index in (0, len(steps) - 1)
        plot.text(start - 10, y + 13.5, name, "name strong" if ends else "name", "end")
        if lost not in ("", "0"):
            plot.rect(
                plot.x(count),
                y + 2,
                plot.x(before) - plot.x(count),
                row - 8,
                "lost",
                f"{name}: {lost} windows",
            )
        plot.rect(
            start,
            y + 2,
            max(plot.x(count) - start, 1.5 if count else 0),
            row - 8,
            "left end" if ends else "left",
        )
        plot.text(start + wide + 46, y + 13.5, short_number(count), "value strong" if ends else "value", "end")
        plot.text(start + wide + 54, y + 13.5, lost, "minus", "start")
        before = count
    return plot.render()


def spectrum(data: SensorData) -> Markup | None:
    """Mean and standard deviation of the training chips by wavelength; None for radar. Cirrus is marked apart."""
    if data.sensor.unit != "reflectance":
        return None
    bands = {band["name"]: band for band in data.stats["bands"]}
    found = [(b.wavelength, bands[b.name]) for b in data.sensor.bands if b.name in bands]
    shown = [pair for pair in found if data.sensor.band(pair[1]["name"]).required]
    if not found:
        return None
    found.sort(key=lambda pair: pair[0])
    shown.sort(key=lambda pair: pair[0])
    top = max(b["mean"] + b["std"] for _, b in found) * 1.12
    said = ", ".join(f"{b['name']} {b['mean']:.3f}" for _, b in found)
    plot = Plot(560, 320, (0.38, 2.3), (0, max(top, 0.05)), f"{data.sensor.name}, mean by band: {said}", top=30)
    for low, high, css in ((0.44, 0.5, "blue"), (0.5, 0.59, "green"), (0.62, 0.7, "red")):
        plot.rect(
            plot.x(low),
            plot.top,
            plot.x(high) - plot.x(low),
            plot.height - plot.top - plot.bottom,
            f"visible {css}",
        )
    plot.axes("wavelength, \u00b5m", data.stats["unit"])
    upper = [(w, b["mean"] + b["std"]) for w, b in shown]
    lower = [(w, max(b["mean"] - b["std"], 0)) for w, b in reversed(shown)]
    plot.path([*upper, *lower], "spread", closed=True)
    plot.path([(w, b["mean"]) for w, b in shown], "curve")
    last = -100.0
    for wavelength, band in found:
        title = f"{band['name']}: {band['mean']:.4f} \u00b1 {band['std']:.4f}"
        plot.dot(wavelength, band["mean"], "mark" if (wavelength, band) in shown else "mark aside", title=title)
        if plot.x(wavelength) - last > 19:
            last = plot.x(wavelength)
            plot.text(last, plot.y(band["mean"]) - 8, band["name"].lstrip("B"), "band")
    return plot.render()


def histogram(band: Mapping[str, Any], unit: str) -> Markup:
    """Distribution of one band, with its 2nd and 98th percentile."""
    edges, counts = band["histogram"]["edges"], band["histogram"]["counts"]
    low, high = float(band["p02"]), float(band["p98"])
    room = (high - low) * 0.3 or 1.0
    view = (max(edges[0], low - room), min(edges[-1], high + room))
    label = f"{band['name']}: mean {band['mean']:.4g}, standard deviation {band['std']:.4g} {unit}"
    plot = Plot(132, 84, view, (0, max([*counts, 1]) * 1.08), label, left=2, right=2, top=18, bottom=18)
    bars: list[tuple[float, float]] = []
    for start, end, count in zip(edges, edges[1:], counts, strict=False):
        a, b = max(start, view[0]), min(end, view[1])
        if a < b:
            bars += [(a, count), (b, count)]
    plot.area(bars, "hist")
    foot = plot.height - plot.bottom
    places = 1 if unit != "reflectance" else 2 if high >= 0.05 else 4
    for value in (low, high):
        plot.line(plot.x(value), foot, plot.x(value), plot.top + 4, "percentile")
        plot.text(plot.x(value), foot + 14, f"{value:.{places}f}")
    plot.line(plot.left, foot, plot.width - plot.right, foot, "axis")
    plot.line(plot.x(band["mean"]), foot, plot.x(band["mean"]), plot.top + 4, "mean")
    plot.text(2, 11, band["name"], "name strong", "start")
    digits = 3 if unit == "reflectance" else 1
    plot.text(130, 11, f"{band['mean']:.{digits}f} \u00b1 {band['std']:.{digits}f}", "tick", "end")
    return plot.render()


def bars(score: Mapping[str, Any]) -> dict[str, float]:
    """What one score must beat, in the order of `CONTROL_TITLES`."""
    return {name: float(score[name]) for name in CONTROL_TITLES if name in score}


def scores(rows: Sequence[tuple[str, Mapping[str, Any]]], title: str) -> Markup:
    """A bar a row for the model with the 95 % interval of its accuracy, and marks for what it must beat."""
    row, start = 30.0, 96.0
    said = "; ".join(
        ", ".join(
            [f"{name}: model {score['accuracy']:.2f}"]
            + [f"{CONTROL_TITLES[c]} {v:.2f}" for c, v in bars(score).items()]
        )
        for name, score in rows
    )
    plot = Plot(540, row * len(rows) + 34, (0, 1), (0, 1), f"{title}. {said}", left=start, right=64, top=6, bottom=26)
    plot.axes(counts=(5, 0), x_text=lambda value: f"{100 * value:.0f} %")
    foot = plot.height - plot.bottom
    for value in (0.2, 0.4, 0.6, 0.8, 1.0):
        plot.line(plot.x(value), plot.top, plot.x(value), foot, "grid")
    for index, (name, score) in enumerate(rows):
        y = plot.top + 4 + row * index
        middle = y + 10
        beside = bars(score)
        wins = significance(score["over_best"]) == "better"
        plot.text(start - 10, middle + 4, name, "name strong" if name == "all" else "name", "end")
        plot.rect(
            start,
            y,
            plot.x(score["accuracy"]) - start,
            20,
            "bar wins" if wins else "bar",
            f"model {percent(score['accuracy'])}",
        )
        low, high = (plot.x(v) for v in score["ci95"])
        plot.line(low, middle, high, middle, "whisker")
        for end in (low, high):
            plot.line(end, middle - 4, end, middle + 4, "whisker")
        for control in BESIDE.values():
            if control.key in beside:
                shape = f"M{plot.x(beside[control.key]):.1f} {middle:.1f}{control.mark}"
                plot.body.append(f'<path class="control" style="{mark_style(control)}" d="{shape}"/>')
        plot.text(plot.width - 8, middle + 4, f"n = {short_number(score['n'])}", "tick", "end")
    return plot.render()
