"""Drawing charts as inline SVG: scales, ticks, marks. Colours are the style sheet's, so that themes apply."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from tasks.vlm.controls import Beside

Points = Sequence[tuple[float, float]]


def mark_style(control: Beside) -> str:
    """How the shape of a control is drawn: inline, for the table of controls and not a style sheet knows it."""
    if control.filled:
        return f"fill:var(--{control.colour});stroke:var(--card);stroke-width:1.2"
    return f"fill:none;stroke:var(--{control.colour});stroke-width:2"


def key_mark(control: Beside) -> Markup:
    """The shape of a control, to stand beside its title in a key."""
    path = f'<path style="{mark_style(control)}" d="M0 0{control.mark}"/>'
    return Markup(f'<svg class="key-mark control" viewBox="-8 -8 16 16" aria-hidden="true">{path}</svg>')


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers from `low` to `high`."""
    span = (high - low) or 1.0
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def short_number(value: float) -> str:
    """A tick's text: as few digits as it needs, thousands set apart."""
    return f"{value:,.0f}".replace(",", "\u202f") if abs(value) >= 1000 else f"{value:g}"


def standalone(drawing: str, style: str) -> str:
    """A drawing of the page as a file of its own, with the style sheet inside."""
    head, _, rest = str(drawing).partition(">")
    width, height = head.partition('viewBox="0 0 ')[2].partition('"')[0].split()
    size = f'xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    head = head.replace("<svg", f"<svg {size}", 1)
    return f"{head}><style>{style}svg{{background:var(--card)}}</style>{rest}"


@dataclass
class Plot:
    """A chart being drawn: `x` and `y` map values to the drawing, marks are added in order."""

    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    label: str
    """Text alternative, for readers who cannot see the chart."""
    left: float = 44
    right: float = 12
    top: float = 12
    bottom: float = 34
    body: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        """Horizontal place of a value."""
        low, high = self.x_range
        return self.left + (value - low) / ((high - low) or 1) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Vertical place of a value."""
        low, high = self.y_range
        return self.height - self.bottom - (value - low) / ((high - low) or 1) * (self.height - self.top - self.bottom)

    def path(self, points: Points, css: str, closed: bool = False) -> None:
        """A line through points in values."""
        if points:
            steps = "L".join(f"{number(self.x(a))} {number(self.y(b))}" for a, b in points)
            self.body.append(f'<path class="{css}" d="M{steps}{"Z" if closed else ""}"/>')

    def area(self, points: Points, css: str, base: float = 0.0) -> None:
        """The ground between points and `base`."""
        if points:
            self.path([(points[0][0], base), *points, (points[-1][0], base)], css, closed=True)

    def dot(self, x: float, y: float, css: str, radius: float = 3.2, title: str = "") -> None:
        """A point in values."""
        inner = f"<title>{escape(title)}</title>" if title else ""
        self.body.append(
            f'<circle class="{css}" cx="{number(self.x(x))}" cy="{number(self.y(y))}" r="{radius}">{inner}</circle>'
        )

    def rect(self, x: float, y: float, width: float, height: float, css: str, title: str = "") -> None:
        """A box in the drawing's own units."""
        box = f'x="{number(x)}" y="{number(y)}" width="{number(max(width, 0))}" height="{number(height)}"'
        inner = f"<title>{escape(title)}</title>" if title else ""
        self.body.append(f'<rect class="{css}" {box}>{inner}</rect>')

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line in the drawing's own units."""
        ends = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
        self.body.append(f'<line class="{css}" {ends}/>')

    def text(self, x: float, y: float, text: str, css: str = "tick", anchor: str = "middle") -> None:
        """Text in the drawing's own units."""
        place = f'x="{number(x)}" y="{number(y)}"'
        self.body.append(f'<text class="{css}" {place} text-anchor="{anchor}">{escape(text)}</text>')

    def axes(
        self,
        x_title: str = "",
        y_title: str = "",
        counts: tuple[int, int] = (5, 4),
        x_text: Callable[[float], str] = short_number,
        y_text: Callable[[float], str] = short_number,
    ) -> None:
        """Hairlines and tick texts; titles stand at the ends."""
        foot = self.height - self.bottom
        for value in ticks(*self.y_range, counts[1]) if counts[1] else []:
            self.line(self.left, self.y(value), self.width - self.right, self.y(value), "grid")
            self.text(self.left - 7, self.y(value) + 3.5, y_text(value), anchor="end")
        for value in ticks(*self.x_range, counts[0]) if counts[0] else []:
            self.line(self.x(value), foot, self.x(value), foot + 4, "axis")
            self.text(self.x(value), foot + 16, x_text(value))
        self.line(self.left, foot, self.width - self.right, foot, "axis")
        if x_title:
            self.text(self.width - self.right, self.height - 3, x_title, "title", "end")
        if y_title:
            self.text(2, 10, y_title, "title", "start")

    def render(self) -> Markup:
        """The drawing as it stands in the page."""
        box = f"0 0 {number(self.width)} {number(self.height)}"
        head = f'<svg class="plot" viewBox="{box}" role="img" aria-label="{escape(self.label)}"'
        return Markup(f'{head} style="max-width:{number(self.width)}px">{"".join(self.body)}</svg>')
