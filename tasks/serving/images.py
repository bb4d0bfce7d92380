"""Images of requests: opened for the model, or as quicklooks for people."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tasks.core.data_url import png_url
from tasks.core.errors import TrainingError
from tasks.earth.display_sensors import PICTURES
from tasks.earth.picture_files import MOST_PIXELS, never
from tasks.earth.radiometry import RADAR_UNITS, RadiometryError
from tasks.serving.errors import RequestError
from tasks.serving.messages import ParsedChat, SentImage
from tasks.serving.request import QuicklookRequest
from tasks.vlm.answerer import Answerer, TooLongError
from tasks.vlm.bands import planes
from tasks.vlm.chat import Conversation
from tasks.vlm.doors import PAGE, REQUEST, Door
from tasks.vlm.image_file import DeclaredMetadata, ImageFile, open_image
from tasks.vlm.limits import Limits
from tasks.vlm.network import Ask
from tasks.vlm.polarisations import paired
from tasks.vlm.sensor_of_file import ImageError, UnknownSensorError

MAX_IMAGES = 16
QUICKLOOK = 1024
"""Longest side of a quicklook in pixels."""


def converse(
    answerer: Answerer,
    asked: ParsedChat,
    limits: Limits | None = None,
    most_pixels: int = MOST_PIXELS,
    cancelled: Callable[[], bool] = never,
) -> Conversation:
    """The conversation of a request, its last question open.

    A turn before it that was answered with the model's limits is left out, and its images go with the next one: the
    model was not asked.

    Raises:
        RequestError: an image cannot be opened, or does not fit the text.
    """
    count = sum(len(turn.images) for turn in asked.turns)
    if count > MAX_IMAGES:
        message = f"{count} images; {MAX_IMAGES} at most"
        raise RequestError(message, code="too_many_images", param="messages")
    conversation = Conversation() if asked.system is None else Conversation(system=asked.system)
    waiting: list[ImageFile] = []
    for turn in asked.turns:
        images = [*waiting, *(opened(answerer, image, REQUEST, most_pixels, cancelled) for image in turn.images)]
        before = conversation.copy()
        if turn.answer is not None and not (images or conversation.images):
            # Small talk before the first image: read with the rest, but nothing that could have been asked here.
            conversation.turns.append((turn.question, turn.answer))
            continue
        try:
            conversation.ask(turn.question, images)
        except ImageError as error:
            raise RequestError(str(error), code="image_count_mismatch", param="messages") from error
        waiting = []
        if turn.answer is None:
            continue
        if conversation.refusal(limits) == turn.answer:
            conversation, waiting = before, images
        else:
            conversation.answered(turn.answer)
    return conversation


def prepare(answerer: Answerer, conversation: Conversation, max_new_tokens: int) -> Ask:
    """The open question of a conversation, ready for the network, with room for an answer of `max_new_tokens` tokens.

    Raises:
        RequestError: there is no such room, or the model cannot be shown an image.
    """
    try:
        return answerer.ask(conversation.question(answerer), max_new_tokens)
    except TooLongError as error:
        raise RequestError(str(error), code="context_length_exceeded", param="messages") from error
    except TrainingError as error:
        raise RequestError(str(error), code="invalid_image", param="messages") from error


def opened(
    answerer: Answerer,
    sent: SentImage,
    door: Door = REQUEST,
    most_pixels: int = MOST_PIXELS,
    cancelled: Callable[[], bool] = never,
) -> ImageFile:
    """An image of a request, calibrated.

    Args:
        answerer: of the model that is asked.
        sent: the image.
        door: where it was sent from, for errors.
        most_pixels: that may be decoded for it, by its header.
        cancelled: whether the client has left.

    Raises:
        RequestError: it cannot be opened, or what took it or what its numbers mean is not known.
        ReadingStoppedError: `cancelled` said so.
    """
    url = sent.image_url
    declared = DeclaredMetadata(url.sensor, url.date, url.scale, url.offset, url.unit, door)
    most_tiles = 1 if url.detail == "low" else answerer.max_tiles
    try:
        image = open_image(
            sent.content,
            sent.name,
            answerer.image_size,
            most_tiles,
            declared,
            true_colour=answerer.true_colour,
            most_pixels=most_pixels,
            cancelled=cancelled,
        )
        return replace(image, most_tiles=most_tiles)
    except UnknownSensorError as error:
        raise RequestError(str(error), code="unknown_sensor", param=sent.where) from error
    except RadiometryError as error:
        raise RequestError(str(error), code="unknown_scale", param=sent.where) from error
    except ImageError as error:
        raise RequestError(str(error), code="invalid_image", param=sent.where) from error


def taken_as(conversation: Conversation) -> list[dict[str, Any]]:
    """What each image of a conversation was taken for, in order: name, sensor, how it was recognised, and what was
    taken for granted (`note`, null where nothing was)."""
    return [
        {
            "name": image.name,
            "sensor": image.sensor.name,
            "recognised": image.recognised.by,
            "note": image.note or None,
        }
        for image in conversation.images
    ]


def describe(
    answerer: Answerer,
    asked: QuicklookRequest,
    most_pixels: int = MOST_PIXELS,
    cancelled: Callable[[], bool] = never,
) -> dict[str, Any]:
    """A picture of an image for people, as a data URL, in which other ways it can be shown, and what is recognised.

    Raises:
        RequestError: it cannot be opened, its sensor is not known, it cannot be shown so, or two files are two images.
    """
    images = paired([opened(answerer, one, PAGE, most_pixels, cancelled) for one in asked.sent])[0]
    if len(images) > 1:
        message = f"{' and '.join(image.name for image in images)} are not two polarisations of one radar scene"
        raise RequestError(message, code="not_one_image", param="second")
    image = images[0]
    composites = {one.name: one for one in image.composites}
    show = asked.show or next(iter(composites))
    if show not in composites:
        message = f"show is '{show[:100]}'; this image can be shown as {', '.join(composites)}"
        raise RequestError(message, code="invalid_value", param="show")
    return {
        "picture": png_url(image.quicklook(QUICKLOOK, composites[show])),
        "show": show,
        "composites": [{"name": one.name, "planes": one.planes} for one in composites.values()],
        "name": image.name,
        "sensor": image.sensor.name,
        "recognised": image.recognised.by,
        "note": image.note or None,
        "modality": image.modality,
        "bands": image.bands,
        "seen": [name for name, _ in planes(image.sensor, image.bands)],
        "partners": _partners(image),
        "width": image.width,
        "height": image.height,
        "crs": image.crs,
        "date": image.date.isoformat() if image.date else None,
    }


def _partners(image: ImageFile) -> list[str]:
    """The polarisations that would make one image with a file of one alone."""
    pairs = [pair for pair in image.sensor.polarisations if len(image.planes) == 1 and set(image.planes) < set(pair)]
    return [band for pair in pairs for band in pair if band not in image.planes]


def accepted(answerer: Answerer) -> dict[str, Any]:
    """What a request may name: measured sensors and kinds of display pictures, units of radar; and how many images."""
    return {
        "sensors": list(answerer.normalise.values),
        "pictures": list(PICTURES),
        "units": list(RADAR_UNITS),
        "most_images": MAX_IMAGES,
    }
