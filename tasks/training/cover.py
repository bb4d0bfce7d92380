"""What covers the ground under each visual token of a training image, from the masks of the chip's labels.

The second lesson of `models.parts.cover`: the masks that stage `labels` left, cut into tiles as the image is. A class
is a label of one source; where its source says nothing of a chip, its share is not known, which is not zero.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.parts.tiling import cut_tiles
from tasks.core import paths
from tasks.dialogue.chip_facts import LabelBook, open_labels
from tasks.earth.label_masks import SIDE
from tasks.training.cover_classes import class_name
from tasks.vlm.samples import ImageRef

KEPT = 512
"""Images whose planes are kept."""


class CoverBook:
    """Shares of classes under the visual tokens of images, looked up on disk."""

    def __init__(self, classes: Sequence[str], sensors: Iterable[str], work: Path) -> None:
        """Open the labels of some sensors; `work` is a folder of this process for files that they are read from."""
        self.places = {name: place for place, name in enumerate(classes)}
        self._books: dict[str, list[LabelBook]] = {}
        """Of each sensor one a part."""
        # A training image is shown many times; of a large mixture the last ones are kept, some tens of megabytes.
        self.planes = lru_cache(KEPT)(self._planes)
        for sensor in sensors:
            books = []
            for part in paths.labels_of_parts(sensor):
                folder = work / f"labels-{sensor}-{part.name}"
                folder.mkdir(parents=True, exist_ok=True)
                books.append(open_labels(sensor, part, folder))
            self._books[sensor] = books

    def _planes(self, image: ImageRef) -> Tensor:
        """(classes, cells, cells) of what is shown of a chip: 1 where a class lies, NaN where it is not known."""
        out = np.full((len(self.places), SIDE, SIDE), np.nan, np.float32)
        for book in self._books.get(image.sensor, ()):
            ((labels, sources),) = book.of([image.chip_id])  # nothing, but for the part that the chip is in
            for source in sources.values():
                known = [class_name(source.name, label) for label in source.labels] if not source.is_tag else []
                out[[self.places[name] for name in known if name in self.places]] = 0
            for label in labels:
                place = self.places.get(class_name(label.source, label.name))
                if place is not None and label.plane is not None:
                    out[place] = label.plane
        return torch.from_numpy(out if image.crop is None else image.crop.cut(out))

    def tiles(self, planes: Tensor, size: int, max_tiles: int, side: int, shown: tuple[int, int]) -> Tensor:
        """Shares under the visual tokens of an image's tiles: (T, side * side, classes).

        Args:
            planes: as `planes` gives them, turned as the image is.
            size: side of a tile in pixels.
            max_tiles: of the image.
            side: visual tokens along a side of a tile.
            shown: width and height of the image in pixels.
        """
        unknown = planes.isnan().all((1, 2))
        pixels = nn.functional.interpolate(planes.nan_to_num()[None], size=shown[::-1], mode="nearest")[0]
        # Tiled as the image is, so that the two lie on each other; resizing may leave the range a little.
        cut = cut_tiles(pixels, size, max_tiles).clamp(0, 1)
        shares = nn.functional.adaptive_avg_pool2d(cut, side).flatten(2).transpose(1, 2).contiguous()
        shares[..., unknown] = torch.nan
        return shares
