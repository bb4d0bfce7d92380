"""How a model is shown a display picture: an image whose colours are all that is known of it.

Stage `stats` measures the training chips as a viewer shows them, in 8 bits, and a checkpoint carries these statistics
under the name of the sensor of pictures. One without (older ones, published weights) has the published statistics of
ordinary pictures. The prompt has the tag of pictures if the model was taught any, or if nobody knows what it was
taught; else that of the sensor that it saw most often in true colour, since a tag it never met would say nothing.
"""

from dataclasses import dataclass

from tasks.earth.display_sensors import PICTURE, PICTURES, known_sensor
from tasks.earth.published_statistics import published_statistics
from tasks.earth.sensors import Sensor
from tasks.vlm.images import Normalisation
from tasks.vlm.limits import Limits

MODALITY = "rgb"


@dataclass(frozen=True)
class TrueColour:
    """How one model is shown pictures."""

    normalise: Normalisation
    """With statistics of every kind of picture."""
    measured: frozenset[str]
    """Kinds of picture whose statistics are of the training data; those of the others are published ones."""
    tags: tuple[str, ...]
    """Of true colour, that the model was taught, the most frequent first; empty where nobody knows."""

    @classmethod
    def of(cls, normalise: Normalisation, limits: Limits | None) -> "TrueColour":
        """That of a checkpoint, from its statistics and from what it was taught."""
        known = normalise.values.get(PICTURE.name)
        published = published_statistics()
        pictures = {}
        for name, sensor in PICTURES.items():
            # All kinds of pictures are rendered alike, so that they share their statistics, colour by colour.
            shared = known and dict(zip(sensor.rgb or (), known.values(), strict=True))
            pictures[name] = normalise.values.get(name) or shared or published[name]
        measured = frozenset(name for name in pictures if known or name in normalise.values)
        return cls(Normalisation({**normalise.values, **pictures}), measured, _taught(limits))

    def tag(self, sensor: Sensor) -> str:
        """The tag of a picture in the prompt: its own, if the model knows it."""
        own = str(sensor.rgb_tag)
        if own in self.tags or not self.tags:
            return own
        return str(PICTURE.rgb_tag) if PICTURE.rgb_tag in self.tags else self.tags[0]

    def manner(self, sensor: Sensor) -> str:
        """One clause for people: statistics and tag."""
        statistics = (
            "the training data's own renderings"
            if sensor.name in self.measured
            else "the published statistics of ordinary pictures, for this model has none of its own"
        )
        return f"normalised by {statistics}, under the tag {self.tag(sensor)}"


def _taught(limits: Limits | None) -> tuple[str, ...]:
    if limits is None or limits.open:
        return ()
    samples = {name: shown[MODALITY].samples for name, shown in limits.sensors.items() if MODALITY in shown}
    tags = [known_sensor(name).rgb_tag for name in sorted(samples, key=lambda name: (-samples[name], name))]
    return tuple(tag for tag in tags if tag)
