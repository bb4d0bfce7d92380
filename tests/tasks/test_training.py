"""tasks/training: the order of samples, the learning rate, and checkpoints."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from tasks.core.errors import TrainingError
from tasks.training import checkpoint
from tasks.training.checkpoint import Progress
from tasks.training.order import Order, learning_rate

torch.set_num_threads(1)


def test_every_sample_is_seen_as_often_as_it_repeats_in_every_epoch() -> None:
    order = Order([1, 2, 0, 3, 1], batch=3, epochs=3, seed=5)
    seen = [index for step in range(order.steps) for index in order.samples(step)]
    for epoch in range(3):
        assert Counter(seen[epoch * 7 : epoch * 7 + 7]) == {0: 1, 1: 2, 3: 3, 4: 1}
    assert len(seen) == 21


@pytest.mark.parametrize("world", [1, 2, 8])
def test_workers_that_share_a_step_see_every_sample_once_an_epoch(world: int) -> None:
    order = Order([1] * 50, batch=16, epochs=1, seed=0)
    seen = [i for step in range(order.steps) for rank in range(world) for i in order.samples(step)[rank::world]]
    assert sorted(seen) == list(range(50))


def test_epochs_differ_and_the_order_is_a_function_of_the_step_alone() -> None:
    order = Order([1] * 40, batch=8, epochs=2, seed=1)
    assert order.epoch(0) != order.epoch(1)
    assert Order([1] * 40, batch=8, epochs=2, seed=1).samples(7) == order.samples(7)
    assert Order([1] * 40, batch=8, epochs=2, seed=2).samples(7) != order.samples(7)


def test_max_steps_ends_a_run_early() -> None:
    assert Order([1] * 40, batch=8, epochs=2, seed=1).steps == 10
    assert Order([1] * 40, batch=8, epochs=2, seed=1, max_steps=4).steps == 4


def test_the_rate_rises_to_its_peak_and_falls_along_a_cosine() -> None:
    rates = [learning_rate(step, 100, 1e-3, 0.05) for step in range(100)]
    assert rates[:5] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3])
    assert rates[52] == pytest.approx(5e-4, rel=0.02)
    assert max(rates) == 1e-3 and rates[-1] < 1e-6
    assert rates[5:] == sorted(rates[5:], reverse=True)


def layer() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    """A model with an optimizer that has taken a step."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    step(model, optimizer)
    return model, optimizer


def step(model: torch.nn.Linear, optimizer: torch.optim.Optimizer) -> None:
    """One step on random data."""
    model(torch.randn(3, 4)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_going_on_from_a_checkpoint_gives_the_same_bits_as_never_stopping(tmp_path: Path) -> None:
    model, optimizer = layer()
    checkpoint.save(tmp_path, Progress(step=1), model, optimizer)
    step(model, optimizer)
    expected = model.weight.clone()
    model, optimizer = layer()
    step(model, optimizer)
    torch.manual_seed(99)
    assert checkpoint.resume(tmp_path, model, optimizer).step == 1
    step(model, optimizer)
    assert torch.equal(model.weight, expected)


def test_a_checkpoint_that_was_cut_off_is_passed_over_and_swept_away(tmp_path: Path) -> None:
    model, optimizer = layer()
    checkpoint.save(tmp_path, Progress(step=1), model, optimizer)
    (tmp_path / ".step-00000002.123").mkdir()
    (tmp_path / ".step-00000002.123" / "model.safetensors").write_bytes(b"half")
    assert checkpoint.resume(tmp_path, model, optimizer).step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    model, optimizer = layer()
    for number in range(1, 5):
        checkpoint.save(tmp_path, Progress(step=number), model, optimizer)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000003", "step-00000004"]


def test_a_checkpoint_of_another_model_says_what_to_do(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, Progress(step=1), *layer())
    other = torch.nn.Linear(5, 5)
    with pytest.raises(TrainingError, match="to train from the beginning"):
        checkpoint.resume(tmp_path, other, torch.optim.AdamW(other.parameters()))


def test_nothing_is_pickled(tmp_path: Path) -> None:
    place = checkpoint.save(tmp_path, Progress(step=1), *layer())
    assert {path.suffix for path in place.iterdir()} == {".safetensors", ".json"}
