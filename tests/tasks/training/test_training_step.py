"""What a training step is made of, on this machine and on one with torch and transformers alone."""

import warnings

import pytest
import torch
from torch._functorch import config as functorch

from models.earthdial.model import PARTS, EarthDialForConditionalGeneration
from models.parts.packing import attend_within_samples
from tasks.training.distributed import checkpoint_activations, share
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
    kept = [not layer.gradient_checkpointing for layer in model.stacked_layers]
    assert sum(kept) == {0: 5, 1: 0, 2: 2}[every]
    for name, found in gradients(model).items():
        assert float((found - expected[name]).abs().max()) <= 1e-6


def test_checkpointing_by_its_older_name_is_the_same() -> None:
    ours, older = fresh(), fresh()
    checkpoint_activations(ours, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        older.gradient_checkpointing_enable(every_n_layers=2)
    assert [x.gradient_checkpointing for x in ours.stacked_layers] == [
        x.gradient_checkpointing for x in older.stacked_layers
    ]
    expected = gradients(older)
    for name, found in gradients(ours).items():
        assert torch.equal(found, expected[name])


def compiled(pointwise: bool) -> tuple[int, dict[str, torch.Tensor]]:
    """Bytes that a layer of the vision encoder keeps for its backward pass, weights apart, and its gradients."""
    torch.compiler.reset()
    model = fresh()
    share(
        model, ALONE, precision="bfloat16", parallel="none", checkpoint_every=0, compile=True,
        recompute_pointwise=pointwise,
    )  # fmt: skip
    layer = model.stacked_layers[0]
    # The same partition into forward and backward pass, without the minutes of a C++ compiler.
    layer.compile(backend="aot_eager_decomp_partition")
    weights = {parameter.untyped_storage().data_ptr() for parameter in layer.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    hidden = torch.randn(4, 65, model.config.vision_config.hidden_size, generator=torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        out = layer(hidden.requires_grad_())
    (out[0] if isinstance(out, tuple) else out).float().square().mean().backward()
    found = {name: parameter.grad for name, parameter in layer.named_parameters() if parameter.grad is not None}
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()), found


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_a_compiled_layer_that_works_out_pointwise_operations_again_keeps_less_and_has_the_same_gradients() -> None:
    with functorch.patch(ban_recompute_materialized_backward=True):
        whole, expected = compiled(pointwise=False)
        less, found = compiled(pointwise=True)
        # Set by each run, not left over from the one before.
        assert compiled(pointwise=False)[0] == whole
    assert less < 0.8 * whole
    assert found.keys() == expected.keys() and len(found) > 4
    for name, gradient in found.items():
        assert torch.equal(gradient, expected[name])
