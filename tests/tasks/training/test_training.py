"""tasks/training: checkpoints."""

from pathlib import Path

import pytest
import torch

from tasks.core.errors import TrainingError
from tasks.training import checkpoint
from tasks.training.checkpoint import Progress
from tasks.vlm.world import World

torch.set_num_threads(1)
ALONE = World(0, 1)


def layer() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    """A model with an optimizer that has taken a step."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    step(model, optimizer)
    return model, optimizer


def step(model: torch.nn.Linear, optimizer: torch.optim.Optimizer) -> None:
    """One step on fixed data."""
    model(torch.arange(12.0).reshape(3, 4)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_going_on_from_a_checkpoint_gives_the_same_bits_as_never_stopping(tmp_path: Path) -> None:
    model, optimizer = layer()
    checkpoint.save(tmp_path, Progress(step=1), model, optimizer, ALONE)
    step(model, optimizer)
    expected = model.weight.clone()
    model, optimizer = layer()
    step(model, optimizer)
    assert checkpoint.resume(tmp_path, model, optimizer, ALONE).step == 1
    step(model, optimizer)
    assert torch.equal(model.weight, expected)


def test_a_checkpoint_that_was_cut_off_is_passed_over_and_swept_away(tmp_path: Path) -> None:
    model, optimizer = layer()
    checkpoint.save(tmp_path, Progress(step=1), model, optimizer, ALONE)
    (tmp_path / ".step-00000002.123").mkdir()
    (tmp_path / ".step-00000002.123" / "model.safetensors").write_bytes(b"half")
    assert checkpoint.resume(tmp_path, model, optimizer, ALONE).step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    model, optimizer = layer()
    for number in range(1, 5):
        checkpoint.save(tmp_path, Progress(step=number), model, optimizer, ALONE)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000003", "step-00000004"]


def test_a_checkpoint_of_another_model_says_what_to_do(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, Progress(step=1), *layer(), ALONE)
    other = torch.nn.Linear(5, 5)
    with pytest.raises(TrainingError, match="to train from the beginning"):
        checkpoint.resume(tmp_path, other, torch.optim.AdamW(other.parameters()), ALONE)


def test_nothing_is_pickled(tmp_path: Path) -> None:
    place = checkpoint.save(tmp_path, Progress(step=1), *layer(), ALONE)
    assert {path.suffix for path in place.iterdir()} == {".safetensors", ".json"}
