"""How a user says what an image does not say of itself, in the words of the door at which the image was given."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Door:
    """What is set where, as errors name it."""

    sensor: str
    date: str
    numbers: str
    """Scale, offset and unit: what stored numbers mean."""


FLAGS = Door("`--sensor`", "`--date`", "(`--scale`, `--offset`, `--unit`)")
"""Of a command."""
REQUEST = Door(
    "`sensor` beside the image's `url`",
    "`date` beside the image's `url`",
    "(`scale`, `offset`, `unit` beside the image's `url`)",
)
"""Of a request to the endpoint."""
PAGE = Door("the field Sensor", "the field Date", "(the fields Scale, Offset, Unit)")
"""Of the page."""
ASSISTANT = Door(
    "`sensor` beside the id of an image", "`date` beside the id", "(`scale`, `offset`, `unit` beside the id)"
)
"""Of the tools of an assistant."""
