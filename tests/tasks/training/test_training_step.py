"""What a training step is made of, on this machine and on one with torch and transformers alone."""

import warnings

import pytest
import torch

from models.earthdial.model import PARTS, EarthDialForConditionalGeneration
from models.parts.packing import attend_within_samples
from tasks.training.distributed import checkpoint_activations, layers, share
from tasks.vlm.world import World

ALONE = World()
synthetic = pytest.importorskip("benchmarks.synthetic")


def gradients(model: EarthDialForConditionalGeneration) -> dict[str, torch.Tensor]:
    """Of one pack."""
    samples = synthetic.make(model, 2, groups=2, tiles=1)
    model(**synthetic.packed(samples, 512), use_cache=False).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def fresh() -> EarthDialForConditionalGeneration:
    model: EarthDialForConditionalGeneration = synthetic.network("tiny")
    model.train_parts(list(PARTS))
    attend_within_samples(model.model.language_model)
    return model


@pytest.mark.parametrize("every", [0, 1, 2])
def test_layers_that_are_worked_out_again_have_the_gradients_of_those_that_are_kept(every: int) -> None:
    expected = gradients(fresh())
    model = fresh()
    share(model, ALONE, precision="float32", parallel="none", checkpoint_every=every, compile=False)
    kept = [not layer.gradient_checkpointing for layer in layers(model)]
    assert sum(kept) == {0: 5, 1: 0, 2: 2}[every]
    for name, found in gradients(model).items():
        assert float((found - expected[name]).abs().max()) <= 1e-6


def test_checkpointing_by_its_older_name_is_the_same() -> None:
    ours, older = fresh(), fresh()
    checkpoint_activations(ours, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        older.gradient_checkpointing_enable(every_n_layers=2)
    assert [x.gradient_checkpointing for x in layers(ours)] == [x.gradient_checkpointing for x in layers(older)]
    expected = gradients(older)
    for name, found in gradients(ours).items():
        assert torch.equal(found, expected[name])
