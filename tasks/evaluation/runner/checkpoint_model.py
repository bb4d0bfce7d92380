"""A checkpoint of ours as a model that is asked: images tiled and normalised as in training, answers from slots."""

import dataclasses
import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.earthdial.continuous_batching import Usage
from models.parts.image import Image, Tiles, batch_images, dated
from models.parts.prompt import IMAGE, SYSTEM, PromptError
from models.parts.tile_grid import count_tiles
from tasks.core.errors import MissingInputError, UnaskableError
from tasks.core.stage import checkpoint_hash, fingerprint, read_json
from tasks.earth.published_statistics import published_statistics
from tasks.evaluation.runner.predictions import in_form
from tasks.evaluation.runner.questions import Answer, BenchmarkQuestion, QuestionImage, RunError
from tasks.vlm.answerer import Answerer
from tasks.vlm.bands import planes
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE
from tasks.vlm.controls import CONTROLS, Mix
from tasks.vlm.images import Normalisation, preprocess
from tasks.vlm.loading import ADAPTER_FILES, Dtype, LoadIn, Loading
from tasks.vlm.network import Ask, Prompt
from tasks.vlm.samples import tile_share

PUBLISHED = "published"
MAX_CACHED_BYTES = 256 * 2**20
"""Images held in memory, normalised: the questions about one often follow each other."""


@dataclass(frozen=True)
class CheckpointSettings:
    """How a checkpoint is asked."""

    slots: int = 8
    """Questions answered together; the answers do not depend on it."""
    max_new_tokens: int = 256
    max_tiles: int | None = None
    """Of a question's images together; as in training if None."""
    dtype: Dtype = "float32"
    normalise_from: str | None = None
    """Where statistics come from that the checkpoint lacks: another checkpoint's folder, a file, or `published`."""
    load_in: LoadIn | None = None
    """Bits that matrices of the language model are held in; all of them if None."""
    adapter: Path | None = None
    """Folder of an adapter of peft."""


@dataclass
class _Waiting:
    """Questions that are one to the model, and its answer to them."""

    numbers: list[int]
    prompt: str
    tokens: int
    answer: Answer | None = None


class Checkpoint:
    """A trained model. One of `tasks.evaluation.runner.questions.Model`."""

    def __init__(self, folder: Path, settings: CheckpointSettings, device: str = "cpu") -> None:
        """Load it.

        Args:
            folder: weights, tokenizer and statistics.
            settings: how it is asked.
            device: cpu or cuda, with a number where there are several.

        Raises:
            EarthloomError: the folder is no checkpoint, or the statistics to add are not there.
        """
        loading = Loading(settings.dtype, settings.load_in, settings.adapter)
        self.answerer = Answerer(folder, device, settings.max_tiles, loading)
        self.answerer.normalise = _completed(self.answerer.normalise, settings.normalise_from)
        self.settings = settings
        self.usage = Usage(settings.slots)
        self.hash = checkpoint_hash(folder)
        adapter = settings.adapter
        self._adapted = {} if adapter is None else {"adapter": fingerprint(*(adapter / one for one in ADAPTER_FILES))}
        self._images: OrderedDict[str, Image] = OrderedDict()

    @property
    def box_form(self) -> str:
        """The form it was trained to write boxes in."""
        return self.answerer.box_form

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The checkpoint, and the settings that its answers depend on."""
        return {
            "kind": "checkpoint",
            "checkpoint": self.hash,
            "max_new_tokens": self.settings.max_new_tokens,
            "max_tiles": self.answerer.max_tiles,
            "dtype": self.settings.dtype,
            "boxes": self.box_form,
            "normalisation": self.settings.normalise_from or "the checkpoint's",
            **({"load_in": self.settings.load_in} if self.settings.load_in else {}),
            **self._adapted,
        }

    def check(self, images: Iterable[QuestionImage], benchmark: str) -> None:
        """Refuse a benchmark for whose sensors there are no statistics.

        Raises:
            RunError: each sensor with the planes that lack them.
        """
        lacking: dict[str, set[str]] = defaultdict(set)
        for image in images:
            try:
                kind = image.kind()
            except UnaskableError:
                continue  # each of its questions will be rejected with this
            known = self.answerer.normalise.values.get(kind.sensor.name, {})
            lacking[kind.sensor.name] |= {name for name, _ in planes(kind.sensor, kind.bands)} - set(known)
        named = [f"{sensor} ({', '.join(sorted(names))})" for sensor, names in sorted(lacking.items()) if names]
        if named:
            there = ", ".join(sorted(self.answerer.normalise.values)) or "none"
            raise RunError(
                f"{benchmark}: the checkpoint cannot normalise {'; '.join(named)}: it has statistics of {there} only. "
                "It was not trained on such images. To show them to it all the same, name statistics with "
                f"`--normalise-from`: the folder of a checkpoint that has them, a {NORMALISATION_FILE}, or "
                f"`{PUBLISHED}` for EarthDial's own"
            )

    def length(self, question: BenchmarkQuestion) -> int:
        """Tokens of the prompt.

        Raises:
            UnaskableError: images and `<image>` do not match, or there is no room for an answer.
        """
        return self._encoded(question).tokens

    def _encoded(self, question: BenchmarkQuestion) -> Prompt:
        config = self.answerer.model.config
        share = tile_share(self.answerer.max_tiles, len(question.images))
        counts = [
            count_tiles(*image.size(), config.image_size, share) * config.tokens_per_tile for image in question.images
        ]
        form = question.box_form
        turns = [
            (in_form(asked, self.box_form, form), in_form(said, self.box_form, form)) for asked, said in question.turns
        ]
        placeholders = sum(asked.count(IMAGE) for asked, _ in turns)
        if not placeholders and len(counts) == 1:
            turns[0] = (f"{IMAGE}\n{turns[0][0]}", turns[0][1])
            placeholders = 1
        try:
            prompt = self.answerer.network.encode(turns, counts, SYSTEM)
        except PromptError as error:
            raise UnaskableError(
                "unaskable" if placeholders == len(counts) else "slots_mismatch", str(error)
            ) from error
        if prompt.tokens >= self.answerer.context:
            room = (
                f"{prompt.tokens} tokens with its images; the model takes {self.answerer.context}, the answer included"
            )
            raise UnaskableError("too_long", room)
        return prompt

    def answer(self, questions: Iterable[BenchmarkQuestion]) -> Iterator[Answer]:
        """Answers by greedy decoding.

        Without images many questions are one to the model: it is asked once.
        """
        waiting: list[_Waiting] = []
        alike: dict[bytes, _Waiting] = {}
        ready: list[Answer] = []

        def asks() -> Iterator[Ask]:
            for question in questions:
                blank = question.control is not None and CONTROLS[question.control].images == "none"
                try:
                    prompt = self._encoded(question)
                    tiles = self.tiles(question)
                except UnaskableError as error:
                    ready.append(Answer.refused(question.number, error))
                    continue
                same = alike.get(key := _without_pixels(prompt, tiles)) if blank else None
                if same is not None and same.answer is not None:
                    ready.append(replace(same.answer, number=question.number))
                elif same is not None:
                    same.numbers.append(question.number)
                else:
                    waiting.append(_Waiting([question.number], prompt.text, prompt.tokens))
                    if blank:
                        alike[key] = waiting[-1]
                    room = min(self.settings.max_new_tokens, self.answerer.context - prompt.tokens)
                    yield Ask(prompt, room, batch_images(tiles, blank) if tiles else {})

        for done in self.answerer.network.answer_all(asks(), self.settings.slots, self.usage):
            yield from ready
            ready.clear()
            one, stop = waiting[done.number], "end" if done.ended else "length"
            one.answer = Answer(one.numbers[0], one.prompt, done.text, stop, one.tokens)
            yield from (replace(one.answer, number=number) for number in one.numbers)
        yield from ready

    def tiles(self, question: BenchmarkQuestion) -> list[Tiles]:
        """The images of a question, as its control shows them; blanked they are only for the model.

        Raises:
            UnaskableError: one cannot be read, or has nothing that the control could mix.
        """
        images = [self._image(image) for image in question.images]
        whole = dated(images, [image.date for image in question.images])
        mix = CONTROLS[question.control].mix if question.control else None
        share = tile_share(self.answerer.max_tiles, len(whole))
        return [(mixed(image, mix) if mix else image).tiled(self.answerer.image_size, share) for image in whole]

    def _image(self, image: QuestionImage) -> Image:
        key = image.key
        if key not in self._images:
            picture = image.read()
            bands = list(picture.planes)
            self._images[key] = preprocess(picture.planes, picture.kind.sensor.name, bands, self.answerer.normalise)
            while len(self._images) > 1 and sum(one.pixels.nbytes for one in self._images.values()) > MAX_CACHED_BYTES:
                self._images.popitem(last=False)
        self._images.move_to_end(key)
        return self._images[key]


def mixed(image: Image, mix: Mix) -> Image:
    """An image whose planes a control has mixed; what is said of its bands stays as it was.

    Raises:
        UnaskableError: it has one plane only, and stays as it is.
    """
    there = image.mask.flatten()
    if int(there.sum()) < 2:
        raise UnaskableError("one_band", "an image of one band has no colour, and no order of its bands")
    found = image.pixels.flatten(0, 1)
    out = torch.zeros_like(found)
    out[there] = mix(found[there])
    return dataclasses.replace(image, pixels=out.reshape_as(image.pixels))


def _without_pixels(prompt: Prompt, tiles: Sequence[Tiles]) -> bytes:
    """Hash of what the model is given of a question besides its pixels."""
    digest = hashlib.blake2b(repr(prompt).encode(), digest_size=16)
    for image in tiles:
        digest.update(str(image.count).encode())
        for tensor in (image.wavelengths, image.mask, image.days):
            digest.update(tensor.numpy().tobytes())
    return digest.digest()


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
