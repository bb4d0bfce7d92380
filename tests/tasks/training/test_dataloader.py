"""Packed samples are as if each were alone: what stands beside a sample in its pack cannot touch it."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.packing import attend_within_samples, packed_attention, positions, repeat_heads, sample_ends
from models.parts.prompt import IGNORED
from tasks import mixture, stats, tokenizer, train
from tasks.core import paths
from tasks.training.dataloader import Batch, Data
from tasks.training.params import AugmentParams, load_recipe
from tasks.training.sample_costs import SampleCosts, measure_costs
from tasks.training.setup import read_data
from tasks.vlm.samples import Sample
from tasks.vlm.world import World
from tests.fixtures.small_dataset import write_dataset

torch.set_num_threads(1)
SENSORS = ("sentinel-2", "sentinel-1")
ALONE = World(0, 1)
Parts = tuple[EarthDialForConditionalGeneration, Data]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """A fresh network and the samples of stage 3: RGB, multispectral and radar."""
    folder = tmp_path_factory.mktemp("packed")
    write_dataset(folder, 8, SENSORS)
    with contextlib.chdir(folder):
        for sensor in SENSORS:
            stats.run(sensor)
        tokenizer.run()
        mixture.run("1")
        mixture.run("3")
        job = train.make_job("1", *load_recipe())
        job = replace(job, mixtures={name: paths.mixture("3") / f"{name}.parquet" for name in job.mixtures})
        tokens, _ = job.tokenizer()
        model = job.begin(tokens)
        assert isinstance(model, EarthDialForConditionalGeneration)
        data, _, _ = read_data(job, model, tokens, ALONE)
        data["train"].pack(range(len(data["train"].samples)))  # reads every chip, from this folder
    nn.init.normal_(model.model.band_fusion.out.weight, std=0.05)
    attend_within_samples(model.model.language_model)
    model.eval()
    return model, data["train"]


def mixed(data: Data) -> list[int]:
    """One sample of each modality, twice."""
    by_modality: dict[str, list[int]] = {}
    for index, sample in enumerate(data.samples):
        by_modality.setdefault(sample.modality, []).append(index)
    return [indices[turn] for turn in (0, 1) for indices in by_modality.values()]


@torch.no_grad()
def token_losses(model: EarthDialForConditionalGeneration, batch: Batch) -> list[Tensor]:
    """Losses of the target tokens of each sample."""
    inputs = {name: value for name, value in batch.inputs.items() if name != "labels"}
    logits = model(**inputs, use_cache=False).logits[0, :-1]
    labels = batch.inputs["labels"][0, 1:]
    losses = nn.functional.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORED)
    return [part[part != 0] for part in nn.functional.pad(losses, (0, 1)).split(batch.lengths)]


def test_samples_of_all_modalities_share_a_pack_and_keep_the_losses_they_have_alone(parts: Parts) -> None:
    model, data = parts
    chosen = mixed(data)
    together = token_losses(model, data.pack(chosen))
    assert {data.samples[index].modality for index in chosen} == {"rgb", "ms", "sar"}
    for index, losses in zip(chosen, together, strict=True):
        torch.testing.assert_close(losses, token_losses(model, data.pack([index]))[0], atol=1e-5, rtol=1e-5)


def test_changing_a_neighbours_words_and_pixels_changes_no_bit_of_the_others(parts: Parts) -> None:
    model, data = parts
    batch = data.pack(mixed(data))
    before = token_losses(model, batch)
    ids = batch.inputs["input_ids"]
    start, end = sum(batch.lengths[:2]), sum(batch.lengths[:3])
    words = (ids[0, start:end] != model.config.image_token_id).nonzero()[:, 0] + start
    ids[0, words] = (ids[0, words] + 7) % model.config.image_token_id
    first = sum(batch.groups[:2])
    batch.inputs["pixel_values"][first : first + batch.groups[2]] += 3
    after = token_losses(model, batch)
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(old, new) == (number != 2)


def test_the_loss_of_a_pack_is_that_of_its_samples_padded_side_by_side(parts: Parts) -> None:
    model, data = parts
    chosen = mixed(data)
    batch = data.pack(chosen)
    packed = model(**batch.inputs, use_cache=False, skip_logits=True).loss
    rows = [data.pack([index]).inputs for index in chosen]
    length = max(batch.lengths)

    def padded(name: str, value: int) -> Tensor:
        return torch.cat([nn.functional.pad(row[name], (0, length - row[name].shape[1]), value=value) for row in rows])

    inputs = {
        name: batch.inputs[name] for name in ("pixel_values", "tile_of_group", "wavelengths", "band_mask", "days")
    }
    ids, mask = padded("input_ids", model.config.filler_token_id), torch.zeros(len(rows), length, dtype=torch.long)
    for row, sample in enumerate(batch.lengths):
        mask[row, :sample] = 1
    model.model.language_model.config._attn_implementation = "sdpa"
    alone = model(input_ids=ids, attention_mask=mask, labels=padded("labels", IGNORED), **inputs).loss
    attend_within_samples(model.model.language_model)
    assert packed.item() == pytest.approx(alone.item(), rel=1e-5)


def test_padding_to_one_length_changes_no_loss(parts: Parts) -> None:
    model, data = parts
    short, filled = (data.pack(mixed(data), length) for length in (None, 512))
    assert filled.inputs["input_ids"].shape == (1, 512) and filled.padding == 512 - short.tokens
    losses = [model(**batch.inputs, use_cache=False, skip_logits=True).loss.item() for batch in (short, filled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def attend(lengths: list[int], **given: Any) -> tuple[Tensor, Tensor]:
    """(packed attention, attention under a block-diagonal causal mask) of random values."""
    torch.manual_seed(0)
    total = sum(lengths)
    query, key, value = (torch.randn(1, heads, total, 8) for heads in (4, 2, 2))
    packed, _ = packed_attention(
        nn.Identity(), query, key, value, None, cu_seq_lens_q=sample_ends(lengths), max_length_q=total, **given
    )
    sample = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    mask = (sample[:, None] == sample) & torch.ones(total, total, dtype=torch.bool).tril()
    dense = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    return packed, dense.transpose(1, 2)


@pytest.mark.parametrize("lengths", [[1], [7], [3, 1, 9], [5] * 6])
def test_packed_attention_is_block_diagonal_and_causal(lengths: list[int]) -> None:
    packed, dense = attend(lengths)
    torch.testing.assert_close(packed, dense)
    assert positions(lengths).tolist()[0] == [place for length in lengths for place in range(length)]


def test_heads_that_are_repeated_attend_as_heads_that_are_shared() -> None:
    random = torch.Generator().manual_seed(0)
    query = torch.randn(1, 6, 20, 8, generator=random)
    key, value = (torch.randn(1, 2, 20, 8, generator=random) for _ in range(2))
    arguments: Any = {"attention_mask": None, "cu_seq_lens_q": sample_ends([13, 7]), "max_length_q": 20}
    shared, _ = packed_attention(nn.Identity(), query, key, value, **arguments)
    repeated, _ = packed_attention(nn.Identity(), query, *(repeat_heads(x, 6) for x in (key, value)), **arguments)
    assert float((shared - repeated).abs().max()) <= 1e-6


def test_packed_attention_without_the_ends_of_its_samples_is_refused() -> None:
    values = torch.zeros(1, 1, 4, 8)
    with pytest.raises(ValueError, match="cu_seq_lens_q and max_length_q"):
        packed_attention(nn.Identity(), values, values, values, None)


def test_training_shows_an_image_otherwise_each_time_and_validation_as_it_is(parts: Parts) -> None:
    _, data = parts
    plain = data.pack([0]).inputs["pixel_values"]
    data.augment = AugmentParams(turns=True, gain=0.1, shift=0.1)
    try:
        assert torch.equal(data.pack([0]).inputs["pixel_values"], plain)
        first, again, later = (
            data.pack([0], seed=seed).inputs["pixel_values"] for seed in ((1, 7, 0), (1, 7, 0), (1, 8, 0))
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, plain)
        assert not torch.equal(first, later)
    finally:
        data.augment = None


def test_what_was_measured_by_several_processes_is_what_one_measures_and_is_kept(parts: Parts, tmp_path: Path) -> None:
    _, data = parts
    calls: list[int] = []

    def cost(some: Sequence[Sample]) -> SampleCosts:
        calls.append(len(some))
        return [(place, len(sample.turns[0][0]), 1, 1, 1, 1) for place, sample in enumerate(some)][1:], []

    class Alone(World):
        def wait(self) -> None:
            """The other process is run after this one, here."""

    number = len(data.samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.training.sample_costs.CHUNK", 7)
        usable, costs, _ = measure_costs(data.samples, cost, tmp_path, "one", ALONE)
        for rank in (1, 0):
            with contextlib.suppress(FileNotFoundError):
                shared = measure_costs(data.samples, cost, tmp_path, "two", Alone(rank, 2))
    assert len(usable) == number - -(-number // 7)
    assert costs[:, 0].tolist() == [len(data.samples[int(index)].turns[0][0]) for index in usable]
    assert (shared[0] == usable).all() and (shared[1] == costs).all()
    before = len(calls)
    again = measure_costs(data.samples, cost, tmp_path, "one", ALONE)
    assert len(calls) == before and (again[1] == costs).all()
