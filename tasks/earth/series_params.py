"""`series:` in params.yaml: which chips of one window are shown together, and how much is asked of them."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from tasks.core.section import Section
from tasks.earth.sensors import SENSORS

MOST_IMAGES = 4
"""Of a sample: EarthDial's longest series has four dates."""


class SeriesRule(Section):
    """`series.rules.<name>`: one kind of series. What is not a series by it is in dropped.parquet with its reason."""

    kind: Literal["dates", "sensors"] = Field(
        description="dates: several dates of one sensor; sensors: one image of each sensor"
    )
    sensors: list[str] = Field(
        min_length=1, description="of `dates` those that have series, each its own; of `sensors` those shown together"
    )
    images: int = Field(2, ge=2, le=MOST_IMAGES, description="dates of a series of the kind `dates`")
    min_days: float = Field(0, ge=0, description="days between two dates that follow one another, at least")
    max_days: float = Field(gt=0, description="days between the first date and the last, at most")
    max_cloud: float = Field(ge=0, le=1, description="share under cloud of each optical image; unknown is too much")
    per_window: int = Field(
        1, ge=1, le=64, description="series of one window, of `dates` for each sensor: the clearest, then the latest"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "SeriesRule":
        unknown = [name for name in self.sensors if name not in SENSORS]
        if unknown:
            raise ValueError(f"there is no sensor '{unknown[0]}'; allowed: {', '.join(SENSORS)}")
        if len(set(self.sensors)) < len(self.sensors):
            raise ValueError("a sensor is named twice")
        if self.kind == "sensors" and not 2 <= len(self.sensors) <= MOST_IMAGES:
            raise ValueError(f"a series of sensors names 2 to {MOST_IMAGES} of them")
        if self.min_days > self.max_days:
            raise ValueError(f"min_days is {self.min_days:g}, more than max_days, {self.max_days:g}")
        cubes = [name for name in self.sensors if SENSORS[name].cube]
        if cubes:
            raise ValueError(f"{cubes[0]} is hyperspectral; no model here takes its bands")
        return self

    @property
    def length(self) -> int:
        """Images of a series."""
        return self.images if self.kind == "dates" else len(self.sensors)


class SeriesParams(Section):
    """`series:` in params.yaml."""

    rules: dict[str, SeriesRule] = Field(description="name -> what makes a series; none for no series")
    seed: int = Field(ge=0, description="with the id of a series, decides what is asked about it")
    pairs: int = Field(ge=1, le=16, description="question-answer pairs about a series, at most")
    abstention: float = Field(
        ge=0, le=0.5, description="share of the series that are asked for what their images cannot tell"
    )
    short_answers: float = Field(ge=0, le=1, description="share of answers that are no whole sentence")
    max_answer_share: float = Field(
        gt=0, le=1, description="of one short answer among those of its kind; what is beyond is dropped"
    )

    @field_validator("rules")
    @classmethod
    def _have_names_for_ids(cls, rules: dict[str, SeriesRule]) -> dict[str, SeriesRule]:
        wrong = [name for name in rules if not name.replace("-", "").isalnum()]
        if wrong:
            raise ValueError(f"'{wrong[0]}' is no name of a rule: letters, digits and '-'")
        return rules
