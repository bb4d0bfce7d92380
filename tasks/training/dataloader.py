"""Packs for training: samples one after the other in one row of tokens, the images of all of them in one flat list
of band groups.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.parts.band_groups import CHANNELS
from models.parts.image import batch_images
from models.parts.packing import positions, sample_ends
from models.parts.prompt import IGNORED, Tokenizer, layout_of
from tasks.core.lifeline import die_with
from tasks.earth.display_sensors import known_sensor
from tasks.training.augment import Augmentation, turned
from tasks.training.cover import CoverBook
from tasks.training.distributed import packs_of_process
from tasks.training.network import NetworkConfig
from tasks.training.packing import Ints
from tasks.training.params import AugmentParams
from tasks.training.sample_costs import SampleCosts, measure_costs
from tasks.training.schedule import Plan, Sizes
from tasks.vlm.bands import planes
from tasks.vlm.chip_reader import ChipReader
from tasks.vlm.samples import ImageRef, Sample, Samples, encode_samples, tile_share
from tasks.vlm.world import World


@dataclass(frozen=True)
class Batch:
    """One pack as arguments of the model's `forward`, and what it costs."""

    inputs: dict[str, Any]
    samples: list[int]
    """Index of each sample."""
    lengths: list[int]
    """Tokens of each sample."""
    groups: list[int]
    """Band groups of each tile."""
    targets: int
    padding: int
    counts: bool = True
    """Whether its loss counts: False for what a process runs when no pack is left for it."""

    @property
    def tokens(self) -> int:
        """Tokens of all samples, visual ones included."""
        return sum(self.lengths)

    def pin_memory(self) -> "Batch":
        """The same in memory that a GPU copies from while it computes."""
        pinned = {k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in self.inputs.items()}
        return replace(self, inputs=pinned)

    def to(self, device: torch.device) -> dict[str, Any]:
        """The arguments on a device."""
        return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in self.inputs.items()}


class Data:
    """Samples of one split that fit into a pack, what each costs, and the images they speak of."""

    def __init__(
        self,
        samples: Samples,
        tokenizer: Tokenizer,
        chips: ChipReader,
        config: NetworkConfig,
        max_length: int,
        max_groups: int,
        folder: Path,
        name: str,
        world: World,
        augment: AugmentParams | None = None,
        cover: CoverBook | None = None,
    ) -> None:
        """Measure every sample; those larger than a pack are left out and named in `rejected`.

        Args:
            samples: of one split.
            tokenizer: the model's.
            chips: reads their images.
            config: the model's.
            max_length: most tokens of a sample.
            max_groups: most band groups of a sample.
            folder: where what was measured is kept.
            name: of the split.
            world: the processes that train.
            augment: how images are varied in training.
            cover: what covers the ground, where a loss is taken on it.
        """
        self.tokenizer, self.chips, self.config = tokenizer, chips, config
        self.max_length, self.max_groups, self.augment, self.cover = max_length, max_groups, augment, cover
        usable, costs, self.rejected = measure_costs(samples, self._costs, folder, name, world)
        self.samples = samples.keep(usable)
        self.sizes = Sizes(*costs.T)

    def _costs(self, samples: Sequence[Sample]) -> SampleCosts:
        """What some samples cost; see `measure_costs`."""
        good, rejected = self._encode(samples)
        places = {id(sample): place for place, sample in enumerate(samples)}
        costs: list[tuple[int, ...]] = []
        for sample, encoded in good:
            tiles = sample.tile_counts(self.config.image_size, self.config.max_tiles)
            groups = sum(count * groups_of(image) for count, image in zip(tiles, sample.images, strict=True))
            if groups > self.max_groups:
                detail = f"{groups} band groups, {self.max_groups} allowed"
                rejected.append({"sample_id": sample.sample_id, "reason": "too-many-groups", "detail": detail})
            else:
                cost = (len(encoded.ids), groups, encoded.targets, sum(tiles), sample.repeats)
                costs.append((places[id(sample)], *cost))
        return costs, rejected

    def _encode(self, samples: Sequence[Sample]) -> Any:
        config = self.config
        return encode_samples(
            samples,
            self.tokenizer,
            config.tokens_per_tile,
            self.max_length,
            config.image_size,
            config.max_tiles,
            layout_of(config),
        )

    def pack(
        self, indices: Sequence[int] | Ints, length: int | None = None, seed: tuple[int, ...] | None = None
    ) -> Batch:
        """One forward pass over some samples.

        Args:
            indices: of the samples.
            length: tokens to fill up to with padding; None for none.
            seed: of the variation of the images; None shows them as they are.
        """
        chosen = [self.samples[int(index)] for index in indices]
        good, _ = self._encode(chosen)
        ids = [encoded.ids for _, encoded in good]
        labels = [encoded.labels for _, encoded in good]
        lengths = [len(one) for one in ids]
        padding = max(0, (length or 0) - sum(lengths))
        if padding:
            ids.append([self.config.filler_token_id] * padding)
            labels.append([IGNORED] * padding)
        # Padding is a sample of its own: real tokens cannot attend to it, and its positions start at 0.
        rows = [len(one) for one in ids]
        changes = [self._augmentation(sample, seed, place) for place, sample in enumerate(chosen)]
        tiles = [
            image for sample, change in zip(chosen, changes, strict=True) for image in self.chips.images(sample, change)
        ]
        images = batch_images(tiles)
        if self.cover is not None:
            covers = (self._cover(one, change) for one, change in zip(chosen, changes, strict=True))
            images["cover"] = torch.cat([tile for cover in covers for tile in cover])
        return Batch(
            inputs={
                "input_ids": torch.tensor([token for one in ids for token in one])[None],
                "labels": torch.tensor([label for one in labels for label in one])[None],
                "position_ids": positions(rows),
                "cu_seq_lens_q": sample_ends(rows),
                "max_length_q": self.max_length,
                **images,
            },
            samples=[int(index) for index in indices],
            lengths=lengths,
            groups=torch.bincount(images["tile_of_group"]).tolist(),
            targets=sum(encoded.targets for _, encoded in good),
            padding=padding,
        )

    def _cover(self, sample: Sample, change: Augmentation | None) -> Iterator[Tensor]:
        """What covers the ground under the visual tokens of each image, turned as the image is."""
        assert self.cover is not None
        config, side = self.config, round(self.config.tokens_per_tile**0.5)
        share = tile_share(config.max_tiles, len(sample.images))
        for image in sample.images:
            planes = turned(self.cover.planes(image), change.turn if change else 0)
            yield self.cover.tiles(planes, config.image_size, share, side, (image.width, image.height))

    def _augmentation(self, sample: Sample, seed: tuple[int, ...] | None, place: int) -> Augmentation | None:
        return Augmentation(self.augment, sample, (*seed, place)) if self.augment and seed is not None else None


def groups_of(image: ImageRef) -> int:
    """Groups of three bands that each tile of an image has."""
    return -(-len(planes(known_sensor(image.sensor), image.bands)) // CHANNELS)


class StepPacks(Dataset[Batch]):
    """The packs one process works on, step after step."""

    def __init__(self, data: Data, plan: Plan, world: World, padded: bool) -> None:
        self.data, self.plan, self.world = data, plan, world
        self.length = plan.max_length if padded else None

    def place(self, step: int) -> int:
        """Number of the first pack of `step`, counted from 0, among those of this process."""
        return step * self.turns(0) if step < self.plan.steps else len(self)

    def turns(self, step: int) -> int:
        """Packs of this process in `step`."""
        return -(-len(self.plan.packs(step)) // self.world.size)

    def __len__(self) -> int:
        """Packs of this process in the whole run."""
        last = self.plan.steps - 1
        return last * self.turns(0) + self.turns(last)

    def __getitem__(self, place: int) -> Batch:
        """The pack at one place."""
        step, turn = divmod(place, self.turns(0))
        packs = self.plan.packs(step)
        number, counts = list(packs_of_process(len(packs), self.world))[turn]
        # By the pack's number in the step, not by process: any number of processes draws the same.
        seed = (self.plan.seed, step, number)
        return replace(self.data.pack(packs[number], self.length, seed), counts=counts)


def load_from(packs: StepPacks, step: int, workers: int) -> Iterator[Batch]:
    """The packs from `step` on, read ahead by `workers` processes, in memory that a GPU can copy from."""
    ahead: dict[str, Any] = {}
    if workers:
        ahead = {"num_workers": workers, "prefetch_factor": 4, "worker_init_fn": partial(_apart, os.getpid())}
    return iter(
        DataLoader(
            packs,
            # A pack is a batch already.
            batch_size=None,
            # A resumed run begins at its step and reads nothing of those before.
            sampler=range(packs.place(step), len(packs)),
            pin_memory=packs.world.device.type == "cuda",
            **ahead,
        )
    )


def _apart(parent: int, _worker: int) -> None:
    """Let a reading process end with the one that trains, and not before: a signal to the group asks that one to write
    a checkpoint, for which it takes its step to the end.
    """
    os.setpgrp()
    die_with(parent)
