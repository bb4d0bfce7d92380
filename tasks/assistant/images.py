"""Images that an assistant may ask about: chips cut here, and files below the folders that the server was given.

An image is asked for by its id. A path is taken by `add` alone, and leads to files below these folders.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image as Picture

from tasks.assistant.addresses import picture_uri, picture_uris
from tasks.assistant.chips import Chips
from tasks.assistant.errors import AssistantError, shown
from tasks.assistant.records import Chip, Declared, HeldImage, HeldImages, OpenedImage
from tasks.core.inside import OutsideError, inside, stays_within, within
from tasks.earth import pictures
from tasks.earth.picture_files import MOST_PIXELS, never
from tasks.vlm.doors import ASSISTANT

if TYPE_CHECKING:  # torch takes seconds to import, and an assistant waits for a server to start
    from tasks.vlm.answerer import Answerer
    from tasks.vlm.image_file import ImageFile

MOST_LISTED = 500
"""Files of a list; further ones are taken by their path."""
MOST_LOOKED_AT = 20_000
"""Files that are looked at for a list."""
SIDE = 1024
"""Longest side of a picture in pixels."""
PLAINEST = "picture"
"""Under which the plainest picture of an image is read, whatever it shows."""


@dataclass(frozen=True)
class Held:
    """An image that can be opened."""

    image: str
    name: str
    root: Path
    """Folder it lies below."""
    path: Path
    chip: Chip | None = None

    @property
    def row(self) -> HeldImage:
        """What a list says of it."""
        return HeldImage(
            image=self.image,
            kind="chip" if self.chip else "file",
            name=self.name,
            sensor=self.chip.sensor if self.chip else None,
            datetime=self.chip.datetime if self.chip else None,
            picture=picture_uri(self.image, PLAINEST),
        )


class Library:
    """The images of a server."""

    def __init__(self, chips: Chips, folders: Sequence[Path], most_pixels: int = MOST_PIXELS) -> None:
        """Chips, and files below folders."""
        self.chips, self.folders, self.most_pixels = chips, folders, most_pixels
        self._files: dict[str, Held] = {}

    def all(self) -> HeldImages:
        """All that can be asked about."""
        chips = [self._chip(chip).row for chip in self.chips.all()]
        files = list(islice(self._walk(), MOST_LISTED + 1))
        return HeldImages(images=[*chips, *(held.row for held in files[:MOST_LISTED])], more=len(files) > MOST_LISTED)

    def find(self, image: str) -> Held:
        """The image of that id.

        Raises:
            AssistantError: there is none.
        """
        if chip := self.chips.find(image):
            return self._chip(chip)
        if image not in self._files:
            next((held for held in self._walk() if held.image == image), None)
        if image not in self._files:
            raise AssistantError(
                f"there is no image {shown(image)}; list_images gives the ids, cut_chip and add_image new ones"
            )
        return self._files[image]

    def add(self, path: str) -> Held:
        """A file by its path below one of the folders.

        Raises:
            AssistantError: it is none, or lies elsewhere.
        """
        for folder in self.folders:
            try:
                real = inside(folder, path)
                there = real.is_file()
            except OutsideError as error:
                raise AssistantError(f"path: {error}") from error
            except OSError:
                continue  # a name that no file can have
            if there:
                return self._file(folder, folder / path)
        named = ", ".join(folder.name for folder in self.folders) or "none: the server was started without --images"
        raise AssistantError(f"path is {shown(path)}: there is no such file below the folders of images ({named})")

    def open(
        self,
        held: Held,
        answerer: "Answerer | None" = None,
        said: Declared | None = None,
        cancelled: Callable[[], bool] = never,
    ) -> "ImageFile":
        """An image, opened for a model, or for people where there is none.

        Raises:
            EarthloomError: it cannot be read, or its sensor is not known.
        """
        from tasks.vlm.image_file import DeclaredMetadata, open_image

        try:
            real = within(held.root, held.path)
        except OutsideError as error:
            raise AssistantError(f"image {held.image}: {error}") from error
        size, tiles = (answerer.image_size, answerer.max_tiles) if answerer else (SIDE // 2, 1)
        return open_image(
            real,
            held.name,
            size,
            tiles,
            DeclaredMetadata(*_declared(held, said or Declared()), door=ASSISTANT),
            true_colour=answerer.true_colour if answerer else None,
            most_pixels=self.most_pixels,
            cancelled=cancelled,
        )

    def picture(self, image: str, name: str) -> bytes:
        """A picture of an image as PNG.

        Args:
            image: its id.
            name: of a composite, with hyphens; or `PLAINEST`.

        Raises:
            EarthloomError: there is no such image, or it cannot be shown so.
        """
        opened = self.open(self.find(image))
        known = {one.name.replace(" ", "-"): one for one in opened.composites}
        if name not in known and name != PLAINEST:
            raise AssistantError(f"image {image} is not shown as {shown(name)}; it is as {', '.join(known)}")
        png = io.BytesIO()
        Picture.fromarray(opened.quicklook(SIDE, known.get(name))).save(png, "PNG")
        return png.getvalue()

    def _chip(self, chip: Chip) -> Held:
        return Held(chip.image, chip.scene, self.chips.folder, self.chips.path(chip), chip)

    def _file(self, folder: Path, path: Path) -> Held:
        name = path.relative_to(folder).as_posix()
        digest = hashlib.blake2b(f"{self.folders.index(folder)}/{name}".encode(), digest_size=5).hexdigest()
        stem = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")[:40]
        held = Held(f"{stem}-{digest}", name, folder, path)
        self._files[held.image] = held
        return held

    def _walk(self) -> Iterator[Held]:
        """Images below the folders, in order; hidden ones and links out of them are passed over."""
        looked = 0
        for folder in self.folders:
            for where, folders, files in os.walk(folder):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for path in (Path(where, name) for name in sorted(files) if not name.startswith(".")):
                    looked += 1
                    if looked > MOST_LOOKED_AT:
                        return
                    if _is_picture(path) and stays_within(folder, path):
                        yield self._file(folder, path)


def described(held: Held, opened: "ImageFile") -> OpenedImage:
    """What an image was taken for."""
    return OpenedImage(
        image=held.image,
        name=held.name,
        sensor=opened.sensor.name,
        recognised=opened.recognised.by,
        note=opened.note or None,
        bands=list(opened.planes),
        width=opened.width,
        height=opened.height,
        datetime=opened.date.isoformat() if opened.date else None,
        crs=opened.crs,
        pictures=picture_uris(held.image, opened.composites),
    )


def _declared(held: Held, said: Declared) -> tuple[str | None, str | None, float | None, float | None, str | None]:
    """Sensor, date, scale, offset and unit that are known beside the file: of a chip, what it was cut from."""
    sensor, date = said.sensor, said.date
    if held.chip:
        if sensor not in (None, held.chip.sensor) or (date, said.scale, said.offset, said.unit) != (None,) * 4:
            raise AssistantError(
                f"image {held.image} is a chip of sensor {held.chip.sensor}, taken {held.chip.datetime}, in "
                f"{held.chip.unit}: leave sensor, date, scale, offset and unit out"
            )
        sensor, date = held.chip.sensor, held.chip.datetime or None
    return sensor, date, said.scale, said.offset, said.unit


def _is_picture(path: Path) -> bool:
    try:
        return path.is_file() and pictures.format_of(pictures.beginning(path)) is not None
    except OSError:
        return False
