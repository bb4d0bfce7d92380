"""The charts of losses: every step, running mean, validation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tasks.pages.svg import Plot
from tasks.pages.trained import Training

MAX_POINTS = 400
MIN_LOSS = 1e-4
"""Losses under this are drawn at it."""


def smooth(points: Sequence[tuple[float, float]], past: float) -> list[tuple[float, float]]:
    """Running mean with exponential weights, unbiased at the start."""
    out, total, weight = [], 0.0, 0.0
    for step, value in points:
        total, weight = past * total + (1 - past) * value, past * weight + (1 - past)
        out.append((step, total / weight))
    return out


def thin(points: Sequence[tuple[float, float]], max_points: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most `most` of the points, evenly, with the last."""
    stride = -(-len(points) // max_points)
    kept = list(points[::stride]) if stride else []
    return kept if not kept or kept[-1] == points[-1] else [*kept, points[-1]]


def loss(training: Training, past: float, span: tuple[float, float]) -> Markup:
    """Loss of every step, its running mean, and validation, of one stage, on a logarithmic scale."""
    raw, validation = training.points("loss"), training.points("val_loss")
    trend = smooth(raw, past)
    label = f"{training.stage.model}, {training.stage.title}: training loss from {raw[0][1]:.3f} to {trend[-1][1]:.3f}"
    label += f", validation loss ends at {validation[-1][1]:.3f}" if validation else ""
    low, high = math.log10(span[0]), math.log10(span[1])
    end = max(step for step, _ in [*raw, *validation])
    plot = Plot(380, 250, (0, end), (low, high), label, left=36, right=46, top=22)
    plot.axes("step", "loss", (4, 0))
    for value in (m * 10.0**e for e in range(-4, 4) for m in (1, 2, 5)):
        if span[0] <= value <= span[1]:
            plot.line(
                plot.left,
                plot.y(math.log10(value)),
                plot.width - plot.right,
                plot.y(math.log10(value)),
                "grid",
            )
            plot.text(plot.left - 7, plot.y(math.log10(value)) + 3.5, f"{value:g}", anchor="end")

    def scaled(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(step, min(max(math.log10(max(value, MIN_LOSS)), low), high)) for step, value in points]

    plot.path(scaled(thin(raw)), "raw")
    plot.path(scaled(thin(trend)), "curve")
    plot.path(scaled(validation), "validation")
    for (step, place), (_, value) in zip(scaled(validation), validation, strict=True):
        plot.dot(step, place, "mark validation", 2.6, f"step {step:.0f}: validation loss {value:.4f}")
    ends = [(plot.y(scaled(trend)[-1][1]), trend[-1][1], "end train")]
    if validation:
        ends.append((plot.y(scaled(validation)[-1][1]), validation[-1][1], "end val"))
    ends.sort()
    apart = max(0.0, 13 - (ends[-1][0] - ends[0][0])) / 2 if len(ends) == 2 else 0.0
    for index, (y, value, css) in enumerate(ends):
        plot.text(plot.width - plot.right + 6, y + 3.5 + apart * (2 * index - 1), f"{value:.2f}", css, "start")
    return plot.render()


def losses(training: Sequence[Training], past: float) -> list[Mapping[str, Any]]:
    """The stages' charts side by side, with what stands over and under each."""
    seen = [v for t in training for _, v in [*smooth(t.points("loss"), past), *t.points("val_loss")]]
    span = (max(min(seen), MIN_LOSS) / 1.25, max(*seen, MIN_LOSS) * 1.15)
    out: list[Mapping[str, Any]] = []
    for stage in training:
        raw, validation = stage.points("loss"), stage.points("val_loss")
        tokens = [value for _, value in stage.points("tokens")]  # counted from the start of the stage
        rates = [value for _, value in stage.points("lr")]
        best = min(validation, key=lambda point: point[1]) if validation else None
        out.append(
            {
                "address": stage.stage.address,
                "model": stage.stage.model,
                "title": stage.stage.title,
                "chart": loss(stage, past, span),
                "steps": int(raw[-1][0]),
                "tokens": tokens[-1] if tokens else None,
                "rate": max(rates) if rates else None,
                "first": raw[0][1],
                "last": smooth(raw, past)[-1][1],
                "best": best,
            }
        )
    return out
