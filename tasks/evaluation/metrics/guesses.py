"""The controls that need no model: what the training side alone would answer to a held-out question.

`GUESSES` is the one table of them, as `tasks.vlm.controls.CONTROLS` is that of the controls in which the model itself
answers; `BESIDE` has both, and is what pages, scorers and the gate read. Who guesses is `tasks.evaluation.guessing`:
a new guess is an entry here and a solver there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.vlm.controls import CONTROLS, Beside


@dataclass(frozen=True, kw_only=True)
class Guess(Beside):
    """One control that needs no model."""

    scored_as: str = ""
    """Its name in what `earthloom score` prints, if that is another than `key`."""

    @property
    def score_name(self) -> str:
        """Its name in what `earthloom score` prints."""
        return self.scored_as or self.key


_TABLE = (
    Guess(
        name="majority",
        title="the commonest training answer to the same question",
        short="commonest in training",
        mark="m0 -12v24",
        colour="orange",
        scored_as="training_majority",  # `majority` there is the commonest truth of the file itself
    ),
    Guess(
        name="same-scene",
        title="the commonest training answer to it in the same scene",
        short="commonest in its scene",
        mark="m-5 -5l10 10m0 -10l-10 10",
        colour="orange",
    ),
    Guess(
        name="neighbours",
        title="the nearest training chips by band statistics",
        short="nearest chips",
        mark="m0 -6v12m-6 -6h12",
        colour="orange",
    ),
    Guess(
        name="ngrams",
        title="a solver that reads the words of the question alone",
        short="from the words",
        mark="m-6 -5l6 10l6 -10z",
        colour="orange",
    ),
)
GUESSES: Mapping[str, Guess] = {guess.key: guess for guess in _TABLE}
"""All guesses by key, in the order that tables and charts have them."""
BESIDE: Mapping[str, Beside] = {**GUESSES, **{control.key: control for control in CONTROLS.values()}}
"""Every control by its name in scores.json: what needs no model, then what the model says without its image."""
SCORED: Mapping[str, Beside] = {
    **{guess.score_name: guess for guess in GUESSES.values()},
    **{control.key: control for control in CONTROLS.values()},
}
"""The same by its name in what `earthloom score` prints."""
