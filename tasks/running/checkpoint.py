"""A checkpoint of ours as a model that is asked: images tiled and normalised as in training, answers from slots."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from models.earthdial.prompt import IMAGE, PromptError, encode, render
from models.earthdial.slots import Prompt, Usage, answer_all
from models.parts.tile_grid import count_tiles
from tasks.benchmarks.samples import ImageRef
from tasks.core.errors import MissingInputError, UnaskableError
from tasks.core.stage import read_json
from tasks.inference.answer import Answerer
from tasks.inference.arms import changed
from tasks.inference.compose import planes
from tasks.inference.pixels import NORMALISATION_FILE, Image, Normalisation, batch_images, compose, dated
from tasks.inference.recognise import read_date
from tasks.inference.samples import tile_share
from tasks.running.hashes import of_folder
from tasks.running.pictures import kind_of, open_picture
from tasks.running.predictions import in_form
from tasks.running.questions import Answer, Asked, RunError
from tasks.weights.normalisation import published_statistics

PUBLISHED = "published"


@dataclass(frozen=True)
class Settings:
    """How a checkpoint is asked."""

    slots: int = 8
    """Questions answered together; the answers do not depend on it."""
    max_new_tokens: int = 256
    max_tiles: int | None = None
    """Of a question's images together; as in training if None."""
    dtype: str = "float32"
    normalise_from: str | None = None
    """Where statistics come from that the checkpoint lacks: another checkpoint's folder, a file, or `published`."""


class Checkpoint:
    """A trained model. One of `tasks.running.questions.Model`."""

    def __init__(self, folder: Path, settings: Settings, device: str = "cpu") -> None:
        """Load it.

        Args:
            folder: weights, tokenizer and statistics.
            settings: how it is asked.
            device: cpu or cuda, with a number where there are several.

        Raises:
            EarthloomError: the folder is no checkpoint, or the statistics to add are not there.
        """
        self.answerer = Answerer(folder, device, settings.max_tiles)
        self.answerer.model.to(getattr(torch, settings.dtype))
        self.answerer.normalise = _completed(self.answerer.normalise, settings.normalise_from)
        self.settings = settings
        self.usage = Usage(settings.slots)
        self.hash = of_folder(folder)

    @property
    def boxes(self) -> str:
        """The form it was trained to write boxes in."""
        return self.answerer.box_form

    @property
    def told(self) -> Mapping[str, Any]:
        """The checkpoint, and the settings that its answers depend on."""
        return {
            "kind": "checkpoint",
            "checkpoint": self.hash,
            "max_new_tokens": self.settings.max_new_tokens,
            "max_tiles": self.answerer.max_tiles,
            "dtype": self.settings.dtype,
            "boxes": self.boxes,
            "normalisation": self.settings.normalise_from or "the checkpoint's",
        }

    def check(self, images: Iterable[ImageRef], benchmark: str) -> None:
        """Refuse a benchmark for whose sensors there are no statistics.

        Raises:
            RunError: each sensor with the planes that lack them.
        """
        lacking: dict[str, set[str]] = defaultdict(set)
        for image in images:
            try:
                kind = kind_of(image, benchmark)
            except UnaskableError:
                continue  # told of each of its questions
            known = self.answerer.normalise.values.get(kind.sensor.name, {})
            lacking[kind.sensor.name] |= {name for name, _ in planes(kind.sensor, kind.bands)} - set(known)
        told = [f"{sensor} ({', '.join(sorted(names))})" for sensor, names in sorted(lacking.items()) if names]
        if told:
            there = ", ".join(sorted(self.answerer.normalise.values)) or "none"
            raise RunError(
                f"{benchmark}: the checkpoint cannot normalise {'; '.join(told)}: it has statistics of {there} only. "
                "It was not trained on such images. To show them to it all the same, name statistics with "
                f"`--normalise-from`: the folder of a checkpoint that has them, a {NORMALISATION_FILE}, or "
                f"`{PUBLISHED}` for EarthDial's own"
            )

    def length(self, asked: Asked) -> int:
        """Tokens of the prompt.

        Raises:
            UnaskableError: images and `<image>` do not match, or there is no room for an answer.
        """
        return len(self._encoded(asked)[1])

    def _encoded(self, asked: Asked) -> tuple[str, list[int]]:
        """The prompt as text, and its token ids."""
        config = self.answerer.model.config
        share = tile_share(self.answerer.max_tiles, len(asked.images))
        counts = [
            count_tiles(image.width, image.height, config.image_size, share) * config.tokens_per_tile
            for image in (self._sized(image, asked) for image in asked.images)
        ]
        question = in_form(asked.sample.question, self.boxes)
        if IMAGE not in question and len(asked.images) == 1:
            question = f"{IMAGE}\n{question}"
        turns = [(question, "")]
        try:
            ids = encode(self.answerer.tokenizer, turns, counts).ids
        except PromptError as error:
            fits = question.count(IMAGE) == len(counts)
            raise UnaskableError("unaskable" if fits else "slots_mismatch", str(error)) from error
        if len(ids) >= self.answerer.context:
            told = f"{len(ids)} tokens with its images; the model takes {self.answerer.context}, the answer included"
            raise UnaskableError("too_long", told)
        return render(turns), ids

    def _sized(self, image: ImageRef, asked: Asked) -> ImageRef:
        """The image with its size; imported without a look at its pixels, it is opened for that."""
        if image.width and image.height:
            return image
        picture = open_picture(image, asked.folder, asked.sample.benchmark)
        height, width = next(iter(picture.planes.values())).shape
        return replace(image, width=width, height=height)

    def answer(self, asked: Iterable[Asked]) -> Iterator[Answer]:
        """Answers by greedy decoding, from `models.earthdial.slots`."""
        waiting: list[tuple[Asked, str, int]] = []
        refused: list[Answer] = []

        def prompts() -> Iterator[Prompt]:
            for one in asked:
                try:
                    text, ids = self._encoded(one)
                    room = min(self.settings.max_new_tokens, self.answerer.context - len(ids))
                    prompt = Prompt(ids, room, self._tensors(one))
                except UnaskableError as error:
                    refused.append(Answer.refused(one.number, error))
                    continue
                waiting.append((one, text, len(ids)))
                yield prompt

        for done in answer_all(self.answerer.model, prompts(), self.settings.slots, self.usage):
            yield from refused
            refused.clear()
            one, text, tokens = waiting[done.number]
            stop = "end" if done.whole else "length"
            yield Answer(one.number, text, self.answerer.decode(done.ids), stop, tokens)
        yield from refused

    def _tensors(self, asked: Asked) -> dict[str, torch.Tensor]:
        """The images of a question, as the arm shows them."""
        if not asked.images:
            return {}
        share = tile_share(self.answerer.max_tiles, len(asked.images))
        whole = dated([self._whole(image, asked) for image in asked.images], [taken(image) for image in asked.images])
        tiles = [changed(image, asked.arm).tiled(self.answerer.image_size, share) for image in whole]
        return batch_images(tiles, blank=asked.arm == "no-image")

    def _whole(self, image: ImageRef, asked: Asked) -> Image:
        picture = open_picture(image, asked.folder, asked.sample.benchmark)
        kind = picture.kind
        whole = compose(picture.planes, kind.sensor.name, kind.bands, self.answerer.normalise)
        height, width = whole.pixels.shape[-2:]
        if image.width and (image.width, image.height) != (width, height):
            told = f"{image.path or 'image'}: {width} x {height} pixels, {image.width} x {image.height} when imported"
            raise UnaskableError("size_changed", f"{told}; import the benchmark again")
        return whole


def taken(image: ImageRef) -> datetime | None:
    """When an image was taken, in UTC; None where its benchmark does not tell."""
    return read_date(image.date) if image.date else None


def _completed(own: Normalisation, source: str | None) -> Normalisation:
    """The statistics of a checkpoint, and those of `source` for the sensors it has none of."""
    if source is None:
        return own
    if source == PUBLISHED:
        other = published_statistics()
    else:
        path = Path(source)
        path = path / NORMALISATION_FILE if path.is_dir() else path
        if not path.is_file():
            raise MissingInputError(
                f"--normalise-from: {path} is not there; name a checkpoint's folder or `{PUBLISHED}`"
            )
        other = read_json(path)
    return Normalisation({**other, **own.values})
