"""What a pair asserts: atoms, each of which the facts of a chip can decide or not, joined by and, or and not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tasks.earth.label_masks import Box


@dataclass(frozen=True)
class Concept:
    """A kind of thing on the ground, as a text names it."""

    word: str
    labels: tuple[str, ...]
    """The labels that it may mean, of those that the chip's sources can give: the one of that very name, or those that
    it is a synonym of."""
    others: tuple[str, ...] = ()
    """Of a label's very name, those that it is a synonym of: they count where no source tells of the label itself."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every label that it may mean."""
        return self.labels + self.others


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included; None is open."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float, slack: float = 0.0) -> bool:
        """Whether a value lies in it, or no more than `slack` beside it."""
        return (self.low is None or value >= self.low - slack) and (self.high is None or value <= self.high + slack)


@dataclass(frozen=True)
class Where:
    """A part of the chip: a third of it in each direction, a half, or a box."""

    direction: str = ""
    """north-west, ..., centre."""
    half: bool = False
    """The northern, southern, eastern or western half."""
    box: Box | None = None


@dataclass(frozen=True)
class Presence:
    """It is there; in a part of the chip, or anywhere in it, or also around it."""

    concept: Concept
    where: Where | None = None
    around: bool = False


@dataclass(frozen=True)
class Count:
    """So many features."""

    concept: Concept
    number: Interval
    mapped: bool = False
    """Whether those are meant that the source has; what it may lack does not matter then. Of others likewise."""


@dataclass(frozen=True)
class Share:
    """So much of the chip, 0 to 1."""

    concept: Concept
    share: Interval
    mapped: bool = False


@dataclass(frozen=True)
class Extreme:
    """Nothing covers more of the chip, or less of those that are there."""

    concept: Concept
    least: bool = False
    mapped: bool = False
    among: tuple[Concept, ...] = ()
    """Those that it is compared with; all if empty."""


@dataclass(frozen=True)
class More:
    """The first covers more of the chip than the second."""

    first: Concept
    second: Concept
    mapped: bool = False


@dataclass(frozen=True)
class Ratio:
    """The first covers so many times as much of the chip as the second."""

    first: Concept
    second: Concept
    times: Interval


@dataclass(frozen=True)
class Equal:
    """Both cover about as much."""

    first: Concept
    second: Concept


@dataclass(frozen=True)
class Position:
    """Its centre of mass lies there; of the largest of its features if `largest`."""

    concept: Concept
    where: Where
    largest: bool = False


@dataclass(frozen=True)
class Beside:
    """The first lies in a direction from the second."""

    first: Concept
    direction: str
    second: Concept


@dataclass(frozen=True)
class Adjacent:
    """They touch."""

    first: Concept
    second: Concept


@dataclass(frozen=True)
class Boxes:
    """It lies in these boxes: all of its features do, or the largest, or one of them."""

    concept: Concept
    boxes: tuple[Box, ...]
    which: str = "all"
    """all, largest or any."""


@dataclass(frozen=True)
class Region:
    """It is what a box holds most of."""

    concept: Concept
    box: Box


@dataclass(frozen=True)
class Complete:
    """There is nothing of any size but these."""

    concepts: tuple[Concept, ...]
    ordered: bool = False
    """Whether they stand by size, the largest first."""
    mapped: bool = False


@dataclass(frozen=True)
class Changed:
    """Labels of change say that it happened."""

    concept: Concept
    where: Where | None = None


@dataclass(frozen=True)
class Extent:
    """So much ground: square metres, or metres if `length`."""

    concept: Concept
    size: Interval
    length: bool = False
    mapped: bool = False


@dataclass(frozen=True)
class Taken:
    """When the chip was taken; None and empty are left open."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    season: str = ""


@dataclass(frozen=True)
class Located:
    """In this country."""

    country: str


@dataclass(frozen=True)
class Hemisphere:
    """On this half of the Earth: northern, southern, eastern or western."""

    name: str


@dataclass(frozen=True)
class Sensed:
    """By this sensor: a name of the table of sensors, a platform, or `radar` or `optical`."""

    name: str


@dataclass(frozen=True)
class Quantity:
    """A statistic of the pixels, such as the mean NDVI, lies there."""

    name: str
    value: Interval
    statistic: str = "mean"


@dataclass(frozen=True)
class CannotBeSeen:
    """Images of this kind do not show it: names, people, what is indoors, another time."""

    topic: str
    needs: str = ""
    """The quantity or the band whose absence makes it so; empty where no image shows it."""


@dataclass(frozen=True)
class Unread:
    """Words whose meaning is not known."""

    words: str


Atom = (
    Presence | Count | Share | Extreme | More | Equal | Ratio | Position | Beside | Adjacent | Boxes | Region | Complete
    | Changed | Extent | Taken | Located | Hemisphere | Sensed | Quantity | CannotBeSeen | Unread
)  # fmt: skip


@dataclass(frozen=True)
class And:
    """All of them."""

    parts: "tuple[Expression, ...]"


@dataclass(frozen=True)
class Or:
    """At least one of them."""

    parts: "tuple[Expression, ...]"


@dataclass(frozen=True)
class Not:
    """The contrary."""

    part: "Expression"


Expression = Atom | And | Or | Not


def both(*parts: Expression) -> Expression:
    """All of them; one alone is itself."""
    return parts[0] if len(parts) == 1 else And(parts)


def atoms(expression: Expression) -> Iterator[Atom]:
    """All atoms of an expression."""
    if isinstance(expression, Not):
        yield from atoms(expression.part)
    elif isinstance(expression, And | Or):
        for part in expression.parts:
            yield from atoms(part)
    else:
        yield expression


def rebuilt(expression: Expression, change: Callable[[Atom], Expression]) -> Expression:
    """An expression with `change` done to each of its atoms."""
    if isinstance(expression, Not):
        return Not(rebuilt(expression.part, change))
    if isinstance(expression, And):
        return And(tuple(rebuilt(part, change) for part in expression.parts))
    if isinstance(expression, Or):
        return Or(tuple(rebuilt(part, change) for part in expression.parts))
    return change(expression)
