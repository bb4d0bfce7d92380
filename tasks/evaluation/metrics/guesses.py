"""The controls that need no model: what the training side alone would answer to a held-out question.

`GUESSES` is the one table of them, as `tasks.vlm.controls.CONTROLS` is that of the controls in which the model itself
answers; `BESIDE` has both, and is what pages, scorers and the gate read. Who guesses is `tasks.evaluation.guessing`:
a new guess is an entry here and a solver there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.vlm.controls import CONTROLS, Control


@dataclass(frozen=True, kw_only=True)
class Guess:
    """One control that needs no model: its names, and how a page draws it."""

    key: str
    """Its name in scores.json."""
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
    scored_as: str = ""
    """Its name in what `earthloom score` prints, if that is another than `key`."""

    @property
    def score_name(self) -> str:
        """Its name in what `earthloom score` prints."""
        return self.scored_as or self.key

    @property
    def column(self) -> str:
        """Column of its answers in predictions."""
        return f"{self.key}_answer"

    @property
    def mark_column(self) -> str:
        """Column that says whether each of its answers is right."""
        return f"{self.key}_correct"


_TABLE = (
    Guess(
        key="majority",
        title="the commonest training answer to the same question",
        short="commonest in training",
        mark="m0 -12v24",
        colour="orange",
        scored_as="training_majority",  # `majority` there is the commonest truth of the file itself
    ),
    Guess(
        key="same_scene",
        title="the commonest training answer to it in the same scene",
        short="commonest in its scene",
        mark="m-5 -5l10 10m0 -10l-10 10",
        colour="orange",
    ),
    Guess(
        key="neighbours",
        title="the nearest training chips by band statistics",
        short="nearest chips",
        mark="m0 -6v12m-6 -6h12",
        colour="orange",
    ),
    Guess(
        key="ngrams",
        title="a solver that reads the words of the question alone",
        short="from the words",
        mark="m-6 -5l6 10l6 -10z",
        colour="orange",
    ),
)
GUESSES: Mapping[str, Guess] = {guess.key: guess for guess in _TABLE}
"""All guesses by key, in the order that tables and charts have them."""
BESIDE: Mapping[str, Guess | Control] = {**GUESSES, **{control.key: control for control in CONTROLS.values()}}
"""Every control by its name in scores.json: what needs no model, then what the model says without its image."""
SCORED: Mapping[str, Guess | Control] = {
    **{guess.score_name: guess for guess in GUESSES.values()},
    **{control.key: control for control in CONTROLS.values()},
}
"""The same by its name in what `earthloom score` prints."""
