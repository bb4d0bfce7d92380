"""Held-out questions answered by pixel probes, each trained when it is first needed."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from tasks.core import paths, tables
from tasks.core.stage import read_json
from tasks.dialogue.facts import SourceInfo
from tasks.earth.label_masks import unpack
from tasks.evaluation.guessing.asked import Asked
from tasks.evaluation.guessing.probe import ByFacts, Labelled, Masks, PixelReader, Probe, ProbeSettings, facts_of
from tasks.vlm.samples import ImageRef

PLACED = ("area", "change")
"""Kinds of label that a mask says all of."""
LabelledChips = Mapping[str, Mapping[str, Labelled]]
"""Source -> chip -> what it says of the chip."""


def labelled_chips(sensor: str) -> LabelledChips:
    """What stage `labels` says of the chips of a sensor, of every source whose labels have a place."""
    folders = paths.labels_of_parts(sensor)
    of_parts = [read_json(folder / "sources.json") for folder in folders]
    said = {name: [part[name] for part in of_parts if name in part] for name in sorted(set().union(*of_parts))}
    sources = {
        name: SourceInfo(name, some[0]["kind"], True, _all_of(some, "labels"), _all_of(some, "change"))
        for name, some in said.items()
    }
    masks: dict[str, dict[str, dict[str, bytes]]] = defaultdict(lambda: defaultdict(dict))
    kinds: dict[str, dict[str, str]] = defaultdict(dict)
    columns = ["chip_id", "label", "source", "kind", "mask"]
    for row in chain(*(tables.read(folder / "labels.parquet", columns).to_pylist() for folder in folders)):
        if row["kind"] in PLACED and row["mask"] is not None:
            masks[row["source"]][row["chip_id"]][row["label"]] = row["mask"]
            kinds[row["source"]][row["label"]] = row["kind"]
    described = (tables.read(folder / "complete.parquet", ["chip_id", "source"]).to_pylist() for folder in folders)
    for row in chain(*described):
        if row["source"] in masks:
            masks[row["source"]][row["chip_id"]]  # a chip that has none of its labels is one to learn from
    return {
        source: {
            chip: Labelled(sources[source], kinds[source], {name: unpack(mask) for name, mask in of_chip.items()})
            for chip, of_chip in chips.items()
        }
        for source, chips in masks.items()
    }


def _all_of(sources: Sequence[Mapping[str, Any]], key: str) -> tuple[str, ...]:
    """What one source says under `key` in any part."""
    return tuple(sorted({value for one in sources for value in one[key]}))


class Probes:
    """A probe for each sensor, modality and label source, and what they answer."""

    def __init__(
        self,
        training: Sequence[Asked],
        settings: ProbeSettings,
        min_fraction: float,
        labelled: Callable[[str], LabelledChips] = labelled_chips,
    ) -> None:
        """Train nothing yet.

        Args:
            training: questions about training chips: whose chips are learned from, and which answers there are.
            settings: of each probe.
            min_fraction: share of a chip under which a class is not there, `labels.min_fraction`.
            labelled: gives the labels of a sensor's chips.
        """
        self._settings, self._min_fraction, self._labelled = settings, min_fraction, labelled
        self._images: dict[tuple[str, str], dict[ImageRef, None]] = defaultdict(dict)
        for asked in training:
            if len(asked.images) == 1:
                self._images[asked.sensor, asked.modality][asked.images[0]] = None
        self._by_facts = ByFacts(training)
        self._reader = PixelReader()
        self._labels: dict[str, LabelledChips] = {}
        self._trained: dict[tuple[str, str, str], tuple[Probe, Labelled] | None] = {}
        self._seen: dict[tuple[ImageRef, str], Masks] = {}

    @property
    def trained(self) -> dict[str, int]:
        """Weights of each probe by its name."""
        return {" ".join(key): found[0].weights for key, found in sorted(self._trained.items()) if found is not None}

    def answer(self, asked: Asked, source: str) -> str | None:
        """What the pixels say to a question whose truth comes from `source`; None where a probe cannot say.

        That is where several images are shown, where the source has no masks of training chips, and where the verifier
        finds that masks alone do not decide any answer: a number of objects, a date, a country.

        Raises:
            TrainingError: a shard does not hold a chip.
        """
        found = self._probe(asked.sensor, asked.modality, source) if len(asked.images) == 1 else None
        if found is None:
            return None
        probe, like = found
        key = asked.images[0], source
        if key not in self._seen:
            self._seen[key] = probe.masks(self._reader.read(asked.images[0], probe.bands))
        said = Labelled(like.source, like.kinds, self._seen[key])
        return self._by_facts.answer(asked, facts_of(asked, said, self._min_fraction))

    def _probe(self, sensor: str, modality: str, source: str) -> tuple[Probe, Labelled] | None:
        key = sensor, modality, source
        if key not in self._trained:
            self._trained[key] = self._train(*key)
        return self._trained[key]

    def _train(self, sensor: str, modality: str, source: str) -> tuple[Probe, Labelled] | None:
        if sensor not in self._labels:
            self._labels[sensor] = self._labelled(sensor)
        labelled = self._labels[sensor].get(source, {})
        images = [image for image in self._images[sensor, modality] if image.chip_id in labelled]
        if not images:
            return None
        bands = tuple(dict.fromkeys(band for image in images for band in image.bands))
        classes = sorted({name for image in images for name in labelled[image.chip_id].masks})
        if not classes:
            return None
        chips = [(self._reader.read(image, bands), labelled[image.chip_id].masks) for image in images]
        return Probe(bands, classes, self._settings).train(chips), labelled[images[0].chip_id]
