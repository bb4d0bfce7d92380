"""A conversation about opened images: the text a model was trained on, and the boxes of its answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.parts.image import dated
from models.parts.prompt import IMAGE, SYSTEM, headed, image_tags
from tasks.dialogue import boxes as box_text
from tasks.dialogue import conversations
from tasks.earth.display_sensors import DATES_TAGS
from tasks.vlm.answerer import Answerer, Question
from tasks.vlm.image_file import ImageFile
from tasks.vlm.limits import Limits
from tasks.vlm.polarisations import paired, without
from tasks.vlm.sensor_of_file import ImageError

MARKED = re.compile(r"(?:<ref>(?P<ref>.*?)</ref>|(?P<before>[^<]*))\s*<box>(?P<box>.*?)</box>", re.DOTALL)
"""A box and its label: `<ref>` before it, or else the words before it."""


@dataclass
class Conversation:
    """Turns about images. Each turn may bring images of its own; `<image>` stands for them in its text."""

    images: list[ImageFile] = field(default_factory=list)
    turns: list[tuple[str, str]] = field(default_factory=list)
    system: str = SYSTEM

    def ask(self, question: str, images: Sequence[ImageFile] = ()) -> None:
        """Add a question, open for its answer.

        Args:
            question: may begin with task tags, such as `[classify]`, and place its images with `<image>`; otherwise
                they stand before it, with the tags of their sensors, as in training.
            images: shown with this question; two that are polarisations of one radar scene are one.

        Raises:
            ImageError: there is no image yet, or `<image>` in the question and images differ in number.
        """
        if not question.strip():
            raise ImageError("the question is empty; ask something")
        if not self.images and not images:
            raise ImageError(f"no image is given, and the question {question!r} is about one")
        placeholders = question.count(IMAGE)
        if placeholders and placeholders != len(images):
            raise ImageError(
                f"the question has {placeholders} {IMAGE}, but {len(images)} "
                f"image{'s are' if len(images) != 1 else ' is'} given with it; "
                "give one for each, or leave them out of the text"
            )
        shown, second = paired(images)
        question = without(question, second)
        self.images.extend(shown)
        if shown and not placeholders:
            tags = image_tags([(image.sensor.name, image.tag) for image in shown], DATES_TAGS)
            question = headed(question, tags, len(shown), conversations.TAGS)
        self.turns.append((question, ""))

    def copy(self) -> "Conversation":
        """The same conversation, to go on with or to go back to."""
        return Conversation(list(self.images), list(self.turns), self.system)

    def refusal(self, limits: Limits | None) -> str | None:
        """What a model with these limits answers to the open question without being asked; None if it may be asked."""
        if limits is None:
            return None
        return limits.refusal(self.turns[-1][0], [(image.sensor.name, image.modality) for image in self.images])

    def answered(self, answer: str) -> None:
        """Close the last question."""
        self.turns[-1] = (self.turns[-1][0], answer)

    def question(self, answerer: Answerer) -> Question:
        """What the model is asked: all images, tiled as in training, and all turns."""
        tiles = answerer.tiles(
            dated([image.image(answerer.normalise) for image in self.images], [image.date for image in self.images]),
            [image.most_tiles for image in self.images],
        )
        return Question(tuple(tiles), tuple(self.turns), self.system)

    def boxes(self, answer: str, form: str = box_text.DEFAULT) -> dict[str, Any] | None:
        """The boxes of an answer as a GeoJSON FeatureCollection; None if it has none.

        The boxes are taken to lie on the image shown last. Without a place on Earth a feature's geometry is null. Its
        properties are `image` (its number), `label`, and `corners`: four (x, y) as fractions of the image.

        Args:
            answer: of the model.
            form: in which the model writes boxes, a name out of `box_text.FORMS`.
        """
        if not self.images or "<box>" not in answer:
            return None
        return boxes_on(self.images[-1], len(self.images) - 1, answer, form)


def boxes_on(image: ImageFile, number: int, answer: str, form: str) -> dict[str, Any]:
    """The boxes of an answer that lie on one image; what cannot be read as a box is listed in `unread`."""
    features: list[dict[str, Any]] = []
    unread = []
    for match in MARKED.finditer(answer):
        try:
            found = box_text.parse(match["box"], form)
        except ValueError as error:
            unread.append(f"{match['box'][:60]!r}: {error}")
            continue
        label = (match["ref"] or match["before"]).strip(" ,.;:\n")
        on_earth = [None] * len(found)
        if image.transform is not None and image.crs is not None:
            collection = box_text.to_geojson(
                found, image.transform, image.crs, image.width, image.height, [label] * len(found)
            )
            on_earth = [feature["geometry"] for feature in collection["features"]]
        for geometry, corners in zip(on_earth, box_text.corners(found, 1, 1), strict=True):
            properties = {"image": number, "label": label, "corners": np.round(corners, 6).tolist()}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    collection = {"type": "FeatureCollection", "features": features}
    return collection | ({"unread": unread} if unread else {})
