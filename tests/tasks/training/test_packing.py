"""tasks/training/packing.py and order.py: every sample in a pack, no pack too full, few places empty."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from benchmarks.packing import realistic
from tasks.core.errors import TrainingError
from tasks.training.distributed import packs_of_process
from tasks.training.packing import Packs, pack
from tasks.training.schedule import Plan, Sizes, learning_rate
from tasks.vlm.world import World


def totals(packs: Packs, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Sum of a value over each pack."""
    return np.array([values[packs[number]].sum() for number in range(len(packs))])


@pytest.mark.parametrize("seed", range(12))
def test_each_sample_is_in_one_pack_and_no_pack_is_too_full(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, length, most = int(random.integers(1, 3000)), int(random.integers(20, 500)), int(random.integers(1, 40))
    lengths = random.integers(1, length + 1, count)
    groups = random.integers(0, most + 1, count)
    packs = pack(random.permutation(count), lengths, groups, length, most, [seed], window=int(random.integers(1, 4000)))
    assert sorted(packs.samples.tolist()) == list(range(count))
    assert all(len(packs[number]) for number in range(len(packs)))
    assert totals(packs, lengths).max() <= length
    assert totals(packs, groups).max() <= most


@pytest.mark.parametrize("multispectral", [0.0, 0.5, 1.0])
def test_packs_of_realistic_samples_are_full(multispectral: float) -> None:
    lengths, groups = realistic(40_000, multispectral)
    packs = pack(np.random.default_rng(0).permutation(len(lengths)), lengths, groups, 4096, 64, [0])
    assert lengths.sum() / (len(packs) * 4096) >= 0.98


def test_no_two_packs_of_a_window_would_fit_into_one() -> None:
    lengths = np.random.default_rng(3).integers(100, 900, 2000)
    groups = np.ones_like(lengths)
    packs = pack(np.arange(2000), lengths, groups, 1000, 50, [0])
    emptiest = np.sort(totals(packs, lengths))[:2]
    assert emptiest.sum() > 1000


def test_the_same_seed_packs_the_same_and_another_does_not() -> None:
    lengths, groups = realistic(3000, 0.2)
    first, again, other = (
        pack(np.random.default_rng(seed).permutation(3000), lengths, groups, 4096, 64, [seed]) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.samples, again.samples) and np.array_equal(first.ends, again.ends)
    assert not np.array_equal(first.samples, other.samples)


def test_packs_do_not_come_in_order_of_size() -> None:
    lengths, groups = realistic(20_000, 0.0)
    packs = pack(np.arange(20_000), lengths, groups, 4096, 64, [0])
    counts = [len(packs[number]) for number in range(len(packs))]
    assert abs(np.corrcoef(np.arange(len(counts)), counts)[0, 1]) < 0.05


@pytest.mark.parametrize(("length", "group"), [(101, 1), (50, 9)])
def test_a_sample_larger_than_a_pack_is_refused_with_its_size(length: int, group: int) -> None:
    with pytest.raises(TrainingError, match=f"sample 1 has {length} tokens and {group} band groups"):
        pack(np.arange(2), np.array([50, length]), np.array([1, group]), 100, 8, [0])


def plan(repeats: list[int], batch: int = 3, epochs: float = 1, seed: int = 5, max_steps: int | None = None) -> Plan:
    """A plan over samples of 10 to 60 tokens in packs of 100."""
    count = len(repeats)
    lengths = np.random.default_rng(0).integers(10, 60, count)
    ones = np.ones(count, np.int64)
    return Plan(Sizes(lengths, ones, ones, ones, np.array(repeats)), 100, 50, batch, epochs, seed, max_steps)


def seen(schedule: Plan) -> list[int]:
    """Samples of all steps, in order."""
    return [int(index) for step in range(schedule.steps) for indices in schedule.packs(step) for index in indices]


def test_every_sample_is_seen_as_often_as_it_repeats_in_every_epoch() -> None:
    schedule = plan([1, 2, 0, 3, 1], epochs=3)
    order = seen(schedule)
    for epoch in range(3):
        assert Counter(order[epoch * 7 : epoch * 7 + 7]) == {0: 1, 1: 2, 3: 3, 4: 1}
    assert len(order) == 21


@pytest.mark.parametrize("size", [1, 2, 8])
def test_processes_that_share_a_step_see_every_sample_once_an_epoch(size: int) -> None:

    schedule = plan([1] * 200, batch=7)
    shared = []
    for rank in range(size):
        for step in range(schedule.steps):
            packs = schedule.packs(step)
            turns = list(packs_of_process(len(packs), World(rank, size)))
            assert len(turns) == -(-len(packs) // size)
            shared += [int(i) for number, counts in turns if counts for i in packs[number]]
    assert sorted(shared) == list(range(200)) == sorted(seen(schedule))


def test_epochs_differ_and_the_packs_are_a_function_of_the_step_alone() -> None:
    schedule, other = plan([1] * 40, epochs=2, seed=1), plan([1] * 40, epochs=2, seed=2)
    order = seen(schedule)
    assert order[:40] != order[40:]
    assert order == seen(plan([1] * 40, epochs=2, seed=1)) != seen(other)
    middle = schedule.steps // 2
    assert [p.tolist() for p in plan([1] * 40, epochs=2, seed=1).packs(middle)] == [
        p.tolist() for p in schedule.packs(middle)
    ]


def test_a_run_ends_within_an_epoch_or_at_the_most_steps() -> None:
    whole, half = plan([1] * 100, epochs=1), plan([1] * 100, epochs=0.5)
    assert half.steps == pytest.approx(whole.steps / 2, abs=1)
    assert seen(half) == seen(whole)[: len(seen(half))]
    assert plan([1] * 100, epochs=4, max_steps=3).steps == 3
    assert whole.epoch_at(0) == 0 and whole.epoch_at(whole.steps) == 1


def test_the_rate_rises_to_its_peak_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(step, 100, 1e-3, 0.05) for step in range(100)]
    assert rates[:5] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3])
    assert rates[52] == pytest.approx(5e-4, rel=0.02)
    assert max(rates) == 1e-3 and rates[-1] < 1e-6
    assert rates[5:] == sorted(rates[5:], reverse=True)
