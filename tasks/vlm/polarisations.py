"""Two files that hold a polarisation each of one radar scene are one image: that is how such scenes are delivered.

They are taken for one if both are of one radar, have a single band each that together are a pair it is flown in, lie on
the same pixels, and no date says otherwise.
"""

from collections.abc import Sequence
from dataclasses import replace

from models.parts.prompt import IMAGE
from tasks.vlm.image_file import ImageFile


def paired(images: Sequence[ImageFile]) -> tuple[list[ImageFile], list[int]]:
    """Images with the pairs among them joined, where the first of each stood; and the places of the second ones."""
    joined: list[ImageFile | None] = list(images)
    second = []
    for place, image in enumerate(joined):
        for other in range(place + 1, len(joined)):
            candidate = joined[other]
            if image is not None and candidate is not None and _belong_together(image, candidate):
                joined[place], joined[other] = _joined(image, candidate), None
                second.append(other)
                break
    return [image for image in joined if image is not None], sorted(second)


def without(question: str, places: Sequence[int]) -> str:
    """A question without the `<image>` at some places; as it is where it has none."""
    texts = question.split(IMAGE)
    if len(texts) == 1:
        return question
    kept = [("" if number in places else IMAGE) + text for number, text in enumerate(texts[1:])]
    return texts[0] + "".join(kept)


def _belong_together(first: ImageFile, second: ImageFile) -> bool:
    sensor = first.sensor
    if sensor != second.sensor or len(first.planes) != 1 or len(second.planes) != 1:
        return False
    pair = sensor.pair_of([*first.planes, *second.planes])
    place = (first.width, first.height, first.transform, first.crs)
    other = (second.width, second.height, second.transform, second.crs)
    dates = {image.date for image in (first, second) if image.date is not None}
    return pair is not None and place == other and len(dates) < 2


def _joined(first: ImageFile, second: ImageFile) -> ImageFile:
    bands = first.sensor.pair_of([*first.planes, *second.planes]) or ()
    planes = {**first.planes, **second.planes}
    return replace(
        first,
        name=f"{first.name} + {second.name}",
        planes={band: planes[band] for band in bands},
        date=first.date or second.date,
        note=f"{first.name} and {second.name}: taken as one image, {' and '.join(bands)} of one scene.",
    )
