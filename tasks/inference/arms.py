"""The controls that change an image: another one, its bands in another order, or without colour."""

import dataclasses
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Protocol

import torch

from tasks.core.errors import UnaskableError
from tasks.inference.pixels import Image


class Shown(Protocol):
    """An image as a sample names it."""

    @property
    def sensor(self) -> str:
        """Its sensor, or the tag of one."""

    @property
    def bands(self) -> Sequence[str]:
        """Its bands, in the order they are shown."""


def partners(kinds: Sequence[Hashable], groups: Sequence[str]) -> list[int | None]:
    """For each sample the number of the one whose images it is shown in the arm `other-image`; None if there is none.

    Groups of one kind stand in a circle, in their order, and each is given the one opposite: none is given its own,
    each serves once, and nothing is drawn at random.

    Args:
        kinds: how many images of which sensor and bands each sample has; only like is exchanged for like.
        groups: the place or picture that samples share.
    """
    first: dict[Hashable, dict[str, int]] = defaultdict(dict)
    for number, (kind, group) in enumerate(zip(kinds, groups, strict=True)):
        first[kind].setdefault(group, number)
    opposite: dict[tuple[Hashable, str], int | None] = {}
    for kind, members in first.items():
        circle = list(members.items())
        for place, (group, _) in enumerate(circle):
            other = circle[(place + len(circle) // 2) % len(circle)][1]
            opposite[kind, group] = other if len(circle) > 1 else None
    return [opposite[kind, group] for kind, group in zip(kinds, groups, strict=True)]


def kind_key(images: Sequence[Shown]) -> Hashable:
    """What two samples must share for their images to be exchanged."""
    return tuple((image.sensor, tuple(image.bands)) for image in images)


def changed(image: Image, arm: str) -> Image:
    """An image as an arm shows it; what is said of its bands stays as it was.

    shuffled-bands moves each plane to the place of the next, greyed puts the mean of all normalised planes into each;
    any other arm leaves the image as it is.

    Raises:
        UnaskableError: it has one plane only, and stays as it is.
    """
    if arm not in ("shuffled-bands", "greyed"):
        return image
    there = image.mask.flatten()
    planes = image.pixels.flatten(0, 1)
    if int(there.sum()) < 2:
        raise UnaskableError("one_band", "an image of one band has no colour, and no order of its bands")
    taken = planes[there]
    new = taken.roll(1, dims=0) if arm == "shuffled-bands" else taken.mean(0, keepdim=True).expand_as(taken)
    out = torch.zeros_like(planes)
    out[there] = new
    return dataclasses.replace(image, pixels=out.reshape_as(image.pixels))
