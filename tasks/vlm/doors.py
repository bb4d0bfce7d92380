"""How a user says what an image does not say of itself, in the words of the door at which the image was given."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Door:
    """What is set where, as errors name it."""

    sensor: str
    scale: str
    offset: str
    unit: str
    date: str

    @property
    def numbers(self) -> str:
        """What says what stored numbers mean."""
        return f"({self.scale}, {self.offset}, {self.unit})"


FLAGS = Door("`--sensor`", "`--scale`", "`--offset`", "`--unit`", "`--date`")
"""Of a command."""
REQUEST = Door(*(f"`{name}` beside the image's `url`" for name in ("sensor", "scale", "offset", "unit", "date")))
"""Of a request to the endpoint."""
PAGE = Door(*(f"the field {name}" for name in ("Sensor", "Scale", "Offset", "Unit", "Date")))
"""Of the page."""
