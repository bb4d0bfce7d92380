"""The boxes of an answer on a picture of the image they lie on."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTLINE = (255, 176, 0)
EDGE = (20, 20, 20)
MIN_SIDE = 512
"""Side up to which a small picture is enlarged, pixel by pixel, so that outlines and labels can be read."""


def draw(picture: NDArray[np.uint8], boxes: Mapping[str, Any]) -> bytes:
    """PNG of a picture with outlines and labels.

    Args:
        picture: (rows, columns, 3).
        boxes: features with `corners` as fractions of the picture, and `label`, as `Conversation.boxes` gives them.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    times = max(1, MIN_SIDE // max(image.size))
    image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    width = max(2, round(max(image.size) / 300))
    for feature in boxes["features"]:
        properties = feature["properties"]
        corners = [(x * image.width, y * image.height) for x, y in properties["corners"]]
        pen.line([*corners, corners[0]], fill=EDGE, width=width + 2, joint="curve")
        pen.line([*corners, corners[0]], fill=OUTLINE, width=width, joint="curve")
        if properties["label"]:
            left, top = min(corners, key=lambda corner: (corner[1], corner[0]))
            pen.text(
                (left + width, max(0, top - 14)), properties["label"], fill=OUTLINE, stroke_width=1, stroke_fill=EDGE
            )
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
