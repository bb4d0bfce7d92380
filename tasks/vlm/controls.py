"""The controls: the same question asked of the same model without its image, or without a part of what it shows.

`CONTROLS` is the one table of them. The runner, the scorers, the report, the board, params.yaml and the command line
read what they need of a control from its entry, and spell none of them themselves: a new control is a new entry here, a
row of docs/how-to/run-benchmarks.md, and a word in params.yaml where the demo is to ask it. No torch here, for scorers
and pages load none.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

ControlName = Literal["no-image", "other-image", "shuffled-bands", "greyed", "images-reversed"]
"""As params.yaml and the command line name them; `CONTROLS` has an entry for each."""
Mix = Callable[[Any], Any]
"""From the planes of an image to as many others, (N, H, W) both, of numpy or of torch."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What stands beside a model's score: its names, and how a page draws it."""

    name: str
    title: str
    """Beside a score: what it is the score of."""
    short: str
    """Beside an answer: how it came about."""
    mark: str
    """Its shape in a chart, an SVG path from its middle: distinct without colour."""
    colour: str
    """A colour of tasks/pages/style.css."""
    filled: bool = False
    """Whether the shape is filled, or drawn as an outline."""

    @property
    def key(self) -> str:
        """Its name in tables of scores."""
        return self.name.replace("-", "_")

    @property
    def column(self) -> str:
        """Column of its answers in predictions."""
        return f"{self.key}_answer"

    @property
    def mark_column(self) -> str:
        """Column that says whether each of its answers is right."""
        return f"{self.key}_correct"


@dataclass(frozen=True, kw_only=True)
class Control(Beside):
    """One control: the model asked again, and what it is shown then."""

    name: ControlName
    images: Literal["own", "none", "another", "reversed"] = "own"
    """Which images the model is shown. none: the training mean in place of every pixel, and to a model that sees RGB
    pictures no picture at all; another: those of another sample, by `partners`; reversed: its own, the last one first,
    of samples that have several."""
    mix: Mix | None = None
    """What becomes of the planes of each image, the normalised bands of a checkpoint's or the colours of a picture;
    None where they stay. An image of one plane has nothing to mix, and no such control."""
    spellings: tuple[str, ...] = ()
    """Columns of its answers in files of predictions written elsewhere, besides `key` and `column`."""

    @property
    def of_several(self) -> bool:
        """Whether it is asked of questions about several images alone."""
        return self.images == "reversed"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that its answers may stand in, in order of preference."""
        return (self.key, self.column, *self.spellings)


def _rolled(planes: Any) -> Any:
    """Each plane in the place of the next, the last in that of the first."""
    return planes[[-1, *range(len(planes) - 1)]]


def _averaged(planes: Any) -> Any:
    """The mean of all planes in each of them."""
    return planes.mean(0)[None][[0] * len(planes)]


_TABLE = (
    Control(
        name="no-image",
        title="the same model without the image",
        short="without the image",
        images="none",
        mark="m0 -6l6 6l-6 6l-6 -6z",
        colour="purple",
        filled=True,
        spellings=("blank_answer",),
    ),
    Control(
        name="other-image",
        title="the same model with another image",
        short="shown another one",
        images="another",
        mark="m0 -5.5a5.5 5.5 0 1 0 .01 0z",
        colour="purple",
        spellings=("swapped_answer",),
    ),
    Control(
        name="shuffled-bands",
        title="the same model with its bands shuffled",
        short="bands shuffled",
        mix=_rolled,
        mark="m-5 -5h10v10h-10z",
        colour="green",
        spellings=("shuffled_answer",),
    ),
    Control(
        name="greyed",
        title="the same model with its bands greyed",
        short="bands greyed",
        mix=_averaged,
        mark="m0 -6l6 11h-12z",
        colour="ink",
        spellings=("grey_answer",),
    ),
    Control(
        name="images-reversed",
        title="the same model with its images in reverse order",
        short="images in reverse order",
        images="reversed",
        mark="m-6 -3h12v6h-12z",
        colour="orange",
    ),
)
CONTROLS: Mapping[ControlName, Control] = {control.name: control for control in _TABLE}
"""All controls by name, in the order that tables and charts have them."""


class Shown(Protocol):
    """An image as a sample names it."""

    @property
    def sensor(self) -> str:
        """Its sensor, or the tag of one."""

    @property
    def bands(self) -> Sequence[str]:
        """Its bands, in the order they are shown."""


def partners(kinds: Sequence[Hashable], groups: Sequence[str]) -> list[int | None]:
    """For each sample the number of the one whose images it is shown instead of its own; None if there is none.

    Groups of one kind stand in a circle, in their order, and each is given the one opposite: none is given its own,
    each serves once, and nothing is drawn at random.

    Args:
        kinds: how many images of which sensor and bands each sample has; only like is exchanged for like.
        groups: the place or picture that samples share.
    """
    first: dict[Hashable, dict[str, int]] = defaultdict(dict)
    for number, (kind, group) in enumerate(zip(kinds, groups, strict=True)):
        first[kind].setdefault(group, number)
    opposite: dict[tuple[Hashable, str], int | None] = {}
    for kind, members in first.items():
        circle = list(members.items())
        for place, (group, _) in enumerate(circle):
            other = circle[(place + len(circle) // 2) % len(circle)][1]
            opposite[kind, group] = other if len(circle) > 1 else None
    return [opposite[kind, group] for kind, group in zip(kinds, groups, strict=True)]


def kind_key(images: Sequence[Shown]) -> Hashable:
    """What two samples must share for their images to be exchanged."""
    return tuple((image.sensor, tuple(image.bands)) for image in images)
