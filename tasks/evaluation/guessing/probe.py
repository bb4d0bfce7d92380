"""The pixel probe: what the pixels suffice for, as a ceiling beside the scores. It is no control: nobody must beat it.

One small network for each sensor, choice of bands and label source reads a pixel and says which classes it shows. It is
trained on nothing but the label masks of training chips: no question, no place, no neighbouring pixel. What it says of
a test chip is taken for the facts of that chip, and a question is answered with what the verifier of
`tasks.dialogue.verifier` holds true of them. Kinds whose answers do not follow from where classes lie stay unanswered.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tasks.dialogue.facts import ChipFacts, Label, SourceInfo
from tasks.dialogue.kinds import CLOSED
from tasks.dialogue.pairs import SUPPORTED, Pair
from tasks.dialogue.verifier import judge
from tasks.earth.label_fractions import places
from tasks.earth.label_masks import SIDE, pack
from tasks.evaluation.guessing.asked import Asked
from tasks.evaluation.metrics.text_normalisation import normalise_text
from tasks.vlm.chip_reader import ShardReader, read_geotiff
from tasks.vlm.samples import ImageRef

Planes = NDArray[np.float32]
Masks = Mapping[str, NDArray[np.bool_]]
"""Class -> where it lies, (SIDE, SIDE) each."""
MOST_CANDIDATES = 16
"""Training answers to a question, and to its form, that are held against the facts, the commonest first."""


@dataclass(frozen=True)
class ProbeSettings:
    """How a probe is trained."""

    hidden: int
    """Units of each of its two hidden layers."""
    steps: int
    pixels: int
    """Of a step."""
    rate: float
    seed: int


@dataclass(frozen=True)
class Labelled:
    """What a source says of one chip."""

    source: SourceInfo
    kinds: Mapping[str, str]
    """Class -> area or change."""
    masks: Masks


class PixelReader:
    """Pixels of chips at the resolution of label masks."""

    def __init__(self) -> None:
        self._shards = ShardReader()

    def read(self, image: ImageRef, bands: Sequence[str]) -> Planes:
        """(bands, SIDE, SIDE); NaN where a band has no valid pixel or the chip has no such band.

        Raises:
            TrainingError: the shard does not hold the chip.
        """
        planes = read_geotiff(self._shards.content(image), f"chip {image.chip_id} in {image.shard}")
        empty = np.full((SIDE, SIDE), np.nan, np.float32)
        return np.stack([_resized(planes[band]) if band in planes else empty for band in bands])


def _resized(plane: Planes) -> Planes:
    """Means of the valid pixels of each cell."""
    valid = torch.from_numpy(np.isfinite(plane)).float()[None, None]
    values = torch.from_numpy(np.nan_to_num(plane, nan=0, posinf=0, neginf=0))[None, None] * valid
    share, total = (nn.functional.adaptive_avg_pool2d(one, SIDE)[0, 0].numpy() for one in (valid, values))
    return np.where(share > 0, total / np.maximum(share, 1e-6), np.nan).astype(np.float32)


class Probe:
    """A network that reads one pixel, for the classes of one source."""

    def __init__(self, bands: Sequence[str], classes: Sequence[str], settings: ProbeSettings) -> None:
        self.bands, self.classes, self._settings = tuple(bands), tuple(classes), settings
        generator = torch.Generator().manual_seed(settings.seed)
        sizes = [len(bands), settings.hidden, settings.hidden, len(classes)]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            linear = nn.Linear(before, after)
            nn.init.normal_(linear.weight, std=before**-0.5, generator=generator)
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        self.network = nn.Sequential(*layers[:-1])
        self._generator = generator
        self._mean, self._spread = np.zeros(len(bands)), np.ones(len(bands))

    @property
    def weights(self) -> int:
        """Parameters of the network."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def train(self, chips: Sequence[tuple[Planes, Masks]]) -> "Probe":
        """Learn from pixels and masks of training chips: a yes or no for each class and pixel."""
        pixels = np.concatenate([planes.reshape(len(self.bands), -1).T for planes, _ in chips]).astype(np.float64)
        nothing = np.zeros((SIDE, SIDE), bool)
        truth = np.concatenate(
            [np.stack([masks.get(name, nothing).ravel() for name in self.classes], 1) for _, masks in chips]
        )
        known = np.isfinite(pixels)
        count = np.maximum(known.sum(0), 1)
        self._mean = np.where(known, pixels, 0).sum(0) / count
        self._spread = np.sqrt((np.where(known, pixels - self._mean, 0) ** 2).sum(0) / count).clip(1e-6)
        seen = known.any(1)
        inputs, wanted = self._scaled(pixels[seen]), torch.from_numpy(truth[seen]).float()
        settings = self._settings
        optimiser = torch.optim.Adam(self.network.parameters(), settings.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
        for _ in range(settings.steps):
            drawn = torch.randint(len(inputs), (settings.pixels,), generator=self._generator)
            loss = nn.functional.binary_cross_entropy_with_logits(self.network(inputs[drawn]), wanted[drawn])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        return self

    def masks(self, planes: Planes) -> Masks:
        """Where it sees each class in a chip, (bands, SIDE, SIDE)."""
        pixels = planes.reshape(len(self.bands), -1).T.astype(np.float64)
        with torch.inference_mode():
            there: NDArray[np.bool_] = (self.network(self._scaled(pixels)) > 0).numpy()
        there = there & np.isfinite(pixels).any(axis=1, keepdims=True)
        return {name: there[:, column].reshape(SIDE, SIDE) for column, name in enumerate(self.classes)}

    def _scaled(self, pixels: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.nan_to_num((pixels - self._mean) / self._spread, nan=0.0)).float()


def facts_of(asked: Asked, said: Labelled, min_fraction: float) -> ChipFacts:
    """What is seen in a chip as its facts: every class of the source was looked for, and no other source is known."""
    labels = []
    for name, mask in said.masks.items():
        share = float(mask.mean())
        if share >= min_fraction:
            place = str(places(mask[None])[0])
            kind = said.kinds.get(name, "area")
            labels.append(Label(name, said.source.name, kind, round(share, 6), None, place, mask=pack(mask)))
    source = replace(said.source, complete=True, looked_for=None)
    return ChipFacts(asked.chip_id, asked.sensor, tuple(labels), {source.name: source})


class ByFacts:
    """Answers questions with what the verifier holds true of a chip's facts.

    What may be said is yes and no, what is in the chip and lists of it, and the training answers to the same question
    and to its form where those are few. What is tried first is what was answered most.
    """

    def __init__(self, training: Iterable[Asked]) -> None:
        self._same: dict[str, Counter[str]] = defaultdict(Counter)
        self._of_form: dict[str, Counter[str]] = defaultdict(Counter)
        for asked in training:
            self._same[asked.meaning][normalise_text(asked.answer)] += 1
            if asked.question_type in CLOSED:
                self._of_form[asked.form][normalise_text(asked.answer)] += 1

    def answer(self, asked: Asked, facts: ChipFacts) -> str | None:
        """The first answer that is true; None where the facts decide none of them."""
        for text in dict.fromkeys(self._candidates(asked, facts)):
            verdict = judge(facts, [Pair(asked.question, text, asked.question_type)])[0]
            if verdict.state == SUPPORTED:
                # What the metadata tell, such as the sensor, is nothing that was seen.
                return text if all(one.kind in ("label", "absence") for one in verdict.evidence) else None
        return None

    def _candidates(self, asked: Asked, facts: ChipFacts) -> Iterator[str]:
        if asked.form.endswith("yes or no"):
            yield from ("yes", "no")
            return
        yield from (text for text, _ in self._same.get(asked.meaning, Counter()).most_common(MOST_CANDIDATES))
        names = list(facts.areas)
        if names:
            yield ", ".join(names)
        yield from names
        yield from (text for text, _ in self._of_form.get(asked.form, Counter()).most_common(MOST_CANDIDATES))
