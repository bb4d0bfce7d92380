"""One score as a bar from 0 to 100: value, interval, controls, the legacy figure, the published one."""

from collections.abc import Sequence

from markupsafe import Markup

from tasks.evaluation.metrics.best_control import CONSTANTS
from tasks.evaluation.metrics.guesses import SCORED
from tasks.pages.scored_runs import CONTROL_TITLES, LEGACY_TITLES, TITLES, Scored
from tasks.pages.svg import Plot, mark_style

WIDTH, HEIGHT = 300.0, 30.0


def score_bar(row: Scored) -> Markup:
    """The bar of one row; every mark has a shape of its own, so that colour is not needed."""
    low, high = row.interval
    said = [f"{TITLES[row.metric]} {row.value:.1f}, 95 % interval {low:.1f} to {high:.1f}"]
    said += [f"{CONTROL_TITLES[name]} {value:.1f}" for name, value in row.controls.items()]
    plot = Plot(WIDTH, HEIGHT, (0, 100), (0, 1), "; ".join(said), left=4, right=4, top=0, bottom=0)
    middle = HEIGHT / 2
    for tick in (0, 25, 50, 75, 100):
        plot.line(plot.x(tick), 3, plot.x(tick), HEIGHT - 3, "grid")
    width = max(plot.x(row.value) - plot.x(0), 1.5)
    wins = " wins" if row.against_controls == "better" else ""
    plot.rect(plot.x(0), middle - 8, width, 16, f"bar{wins}", said[0])
    plot.line(plot.x(low), middle, plot.x(high), middle, "whisker")
    for end in (low, high):
        plot.line(plot.x(end), middle - 4, plot.x(end), middle + 4, "whisker")
    guess = {name: value for name, value in row.controls.items() if name in CONSTANTS}
    if guess:
        best = max(guess, key=lambda name: guess[name])
        _mark(plot, guess[best], f"M{{x}} {middle - 12}v24", "base majority", CONSTANTS[best])
    for name, control in SCORED.items():
        if name in row.controls:
            shape, value = f"M{{x}} {middle}{control.mark}", row.controls[name]
            _mark(plot, value, shape, "control", control.title, mark_style(control))
    if row.legacy_metric is not None:
        value = float(row.legacy[row.legacy_metric])
        title = f"EarthDial's own scorer: {LEGACY_TITLES[row.legacy_metric]}"
        _mark(plot, value, f"M{{x}} {HEIGHT - 1}l-4.5 -7h9z", "legacy-mark", title)
    if row.published is not None:
        title = f"published for {row.published.model}, not run here: {row.published.metric}"
        _mark(plot, row.published.value, "M{x} 8l-4.5 -7h9z", "published-mark", title)
    return plot.render()


def _mark(plot: Plot, value: float, shape: str, css: str, title: str, style: str = "") -> None:
    place = shape.format(x=f"{plot.x(value):.1f}")
    inline = f' style="{style}"' if style else ""
    plot.body.append(f'<path class="{css}"{inline} d="{place}"><title>{title}: {value:.1f}</title></path>')


def scale(ticks: Sequence[int] = (0, 25, 50, 75, 100)) -> Markup:
    """The numbers above the bars."""
    plot = Plot(WIDTH, 14, (0, 100), (0, 1), "scale from 0 to 100", left=4, right=4, top=0, bottom=0)
    for value in ticks:
        anchor = "start" if value == 0 else "end" if value == 100 else "middle"
        plot.text(plot.x(value), 11, str(value), "tick", anchor)
    return plot.render()
