"""Packs for RS-MoE: the sequences of all samples for the first expert, then those for the second, and so on.

A sample's images are encoded once, however many experts learn from it. Without experts, in stage 1, a sample is one
sequence as in EarthDial's packs; in both stages the Q-Former reads the question with each tile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from models.parts.image import Tiles, batch_images
from models.parts.packing import positions, sample_ends
from models.parts.padding import pad_right
from models.parts.prompt import IGNORED, SYSTEM, Encoded, PromptError, encode
from models.rsmoe.config import RsMoeConfig
from models.rsmoe.generate import template_places
from models.rsmoe.prompt import ExpertError, instruction_ids
from tasks.core.errors import TrainingError
from tasks.training.dataloader import Batch, Data, groups_of
from tasks.training.packing import Ints
from tasks.training.sample_costs import SampleCosts
from tasks.vlm.samples import Sample


@dataclass(frozen=True)
class ExpertSequence:
    """What one expert learns from one sample."""

    expert: int
    sample: int
    encoded: Encoded


@dataclass(frozen=True)
class MoeBatch(Batch):
    """A pack of samples for the experts."""

    targets_of: Sequence[int] = ()
    """Target tokens of each sample, of all its experts together."""


class MoeData(Data):
    """Samples that fit into a pack, with the sequences of their experts."""

    config: RsMoeConfig
    instruction_tokenizer: Any = None
    """The Q-Former's, where it has one of its own."""

    def _costs(self, samples: Sequence[Sample]) -> SampleCosts:
        costs: list[tuple[int, ...]] = []
        rejected: list[dict[str, str]] = []
        for place, sample in enumerate(samples):
            sequences = self._sequences(sample, 0)
            tokens = sum(len(one.encoded.ids) for one in sequences)
            tiles = sample.tile_counts(self.config.image_size, self.config.max_tiles)
            groups = sum(count * groups_of(image) for count, image in zip(tiles, sample.images, strict=True))
            reason, detail = "", ""
            if tokens > self.max_length:
                reason, detail = "too-long", f"{tokens} tokens for all experts, {self.max_length} allowed"
            elif groups > self.max_groups:
                reason, detail = "too-many-groups", f"{groups} band groups, {self.max_groups} allowed"
            if reason:
                rejected.append({"sample_id": sample.sample_id, "reason": reason, "detail": detail})
                continue
            targets = sum(one.encoded.targets for one in sequences)
            costs.append((place, tokens, groups, targets, sum(tiles), sample.repeats))
        return costs, rejected

    def _sequences(self, sample: Sample, place: int) -> list[ExpertSequence]:
        """What each expert that learns from a sample learns, in the order of the experts.

        Raises:
            TrainingError: its images do not match its text, or it names an expert that is not there.
        """
        visual = [
            n * self.config.tokens_per_tile for n in sample.tile_counts(self.config.image_size, self.config.max_tiles)
        ]
        try:
            if not self.config.number_of_experts:
                return [ExpertSequence(0, place, encode(self.tokenizer, sample.turns, visual, SYSTEM))]
            return [
                ExpertSequence(self.config.expert(name), place, self._encode_for(name, sample, visual))
                for name in self.config.experts or []
                if any(name == expert for turn in sample.targets for expert, _ in turn)
            ]
        except (PromptError, ExpertError) as error:
            raise TrainingError(
                f"sample {sample.sample_id}: {error}; rebuild stages `mixture` and `subtasks`"
            ) from error

    def _encode_for(self, name: str, sample: Sample, visual: Sequence[int]) -> Encoded:
        """The turns up to the last that an expert learns from: its own texts there, the whole answers elsewhere."""
        template = (self.config.templates or [])[self.config.expert(name)]
        turns, learned = [], []
        for (question, answer), dealt in zip(sample.turns, sample.targets, strict=True):
            own = dict(dealt).get(name)
            turns.append((question, answer if own is None else own))
            learned.append(own is not None)
        last = max(number for number, own in enumerate(learned) if own) + 1
        return encode(self.tokenizer, turns[:last], visual, template, learned[:last])

    def pack(
        self, indices: Sequence[int] | Ints, length: int | None = None, seed: tuple[int, ...] | None = None
    ) -> Batch:
        """One forward pass over some samples; see `Data.pack`."""
        batch = self.pack_samples([self.samples[int(index)] for index in indices], length, seed)
        return replace(batch, samples=[int(index) for index in indices])

    def pack_samples(
        self, chosen: Sequence[Sample], length: int | None = None, seed: tuple[int, ...] | None = None
    ) -> "MoeBatch":
        """The same of samples that need not be among those measured."""
        sequences = [one for place, sample in enumerate(chosen) for one in self._sequences(sample, place)]
        # Sorting keeps the order of the samples within an expert.
        sequences.sort(key=lambda one: one.expert)
        ids = [one.encoded.ids for one in sequences]
        labels = [one.encoded.labels for one in sequences]
        lengths = [len(one) for one in ids]
        padding = max(0, (length or 0) - sum(lengths))
        if padding:
            ids.append([self.config.filler_token_id] * padding)
            labels.append([IGNORED] * padding)
        rows = [len(one) for one in ids]
        images = [self.chips.images(sample, self._augmentation(sample, seed, n)) for n, sample in enumerate(chosen)]
        shown = batch_images([tiles for some in images for tiles in some])
        targets = [0] * len(chosen)
        for one in sequences:
            targets[one.sample] += one.encoded.targets
        return MoeBatch(
            inputs={
                "input_ids": torch.tensor([token for one in ids for token in one])[None],
                "labels": torch.tensor([label for one in labels for label in one])[None],
                "position_ids": positions(rows),
                "cu_seq_lens_q": sample_ends(rows),
                "max_length_q": self.max_length,
                **shown,
                **self._instructions(chosen, images),
                **(self._experts(chosen, sequences, images, rows) if self.config.number_of_experts else {}),
            },
            samples=list(range(len(chosen))),
            lengths=lengths,
            groups=torch.bincount(shown["tile_of_group"]).tolist(),
            targets=sum(targets),
            padding=padding,
            targets_of=targets,
        )

    def _instructions(self, samples: Sequence[Sample], images: Sequence[Sequence[Tiles]]) -> dict[str, Tensor]:
        """(T, L) question of each tile in tokens of the Q-Former, and where there is one."""
        texts = [instruction_ids(sample.turns, self.tokenizer, self.instruction_tokenizer) for sample in samples]
        each = [text for text, some in zip(texts, images, strict=True) for _ in range(tiles_of(some))]
        ids, mask = pad_right(each, self.config.instruction_length)
        return {"instruction_ids": ids, "instruction_mask": mask}

    def _experts(
        self,
        samples: Sequence[Sample],
        sequences: Sequence[ExpertSequence],
        images: Sequence[Sequence[Tiles]],
        rows: Sequence[int],
    ) -> dict[str, Any]:
        config = self.config
        names = config.experts or []
        counts = torch.tensor([tiles_of(some) for some in images])
        starts = (counts.cumsum(0) - counts).tolist()
        ends = sample_ends(rows).tolist()
        tokens = [0] * len(names)
        for one in sequences:
            tokens[one.expert] += len(one.encoded.ids)
        tokens[-1] += sum(rows) - sum(tokens)  # padding
        places = [
            [
                start + place
                for place in template_places(
                    one.encoded.ids, config.prompt_tokens, config.end_token_id, names[one.expert]
                )
            ]
            for one, start in zip(sequences, ends, strict=False)
        ]
        tiles = [torch.arange(starts[one.sample], starts[one.sample] + int(counts[one.sample])) for one in sequences]
        return {
            "expert_tokens": tuple(tokens),
            "expert_of_sequence": torch.tensor([one.expert for one in sequences]),
            "sample_of_sequence": torch.tensor([one.sample for one in sequences]),
            "sample_of_tile": torch.arange(len(samples)).repeat_interleave(counts),
            "tile_order": torch.cat(tiles),
            "prompt_places": torch.tensor(places),
            "gate_targets": torch.tensor([self._gate(sample) for sample in samples]),
        }

    def _gate(self, sample: Sample) -> int:
        """The expert of the last answer; `IGNORED` if several share it, as they do a caption."""
        last = sample.targets[-1]
        return self.config.expert(last[0][0]) if len(last) == 1 else IGNORED


def tiles_of(images: Sequence[Tiles]) -> int:
    """Tiles of a sample's images together."""
    return sum(image.count for image in images)
