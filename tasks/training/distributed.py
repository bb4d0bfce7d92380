"""Several processes that train one model: their ranks, what is sharded or replicated, and how packs are dealt out.

`tasks.training.launch` starts them, or torchrun on several machines. Each step's packs go round the processes by
turns, so that the step is the same on any number of them. A process left without a pack runs one that counts zero,
since all must take part whenever gradients or weights are exchanged.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch._C._distributed_c10d import HashStore
from torch._functorch import config as functorch

from tasks.core.errors import TrainingError
from tasks.vlm.world import World

if TYPE_CHECKING:  # params.yaml's reader; a step on a machine with torch alone has its numbers from elsewhere
    from tasks.training.network import Network
    from tasks.training.params import RunParams

logger = logging.getLogger(__name__)


def choose_device(common: "RunParams", local_rank: int = 0) -> torch.device:
    """The device that `train.common.device` asks for, with the number of CPU threads set.

    Raises:
        TrainingError: a GPU is asked for and there is none.
    """
    if common.threads:
        torch.set_num_threads(common.threads)
    if common.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("train.common.device is cuda, but torch sees no GPU here; use auto or cpu")
    gpu = common.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda", local_rank) if gpu else torch.device("cpu")


@contextmanager
def joined(common: "RunParams") -> Iterator[World]:
    """The processes of this run, joined until the block ends.

    Raises:
        TrainingError: there are several, and `train.common.parallel` is none; or the recipe is for a GPU, and there is
            none.
    """
    rank, size, local = (int(os.environ.get(name, default)) for name, default in VARIABLES)
    if size > 1 and common.parallel == "none":
        raise TrainingError(
            f"torchrun started {size} processes, but train.common.parallel is none; use ddp, or fsdp where the model "
            "does not fit"
        )
    device = choose_device(common, local)
    if common.compile and device.type != "cuda":
        raise TrainingError(
            "train.common.compile pays on a GPU only, and there is none here: set it to false or train a smaller one"
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    several = size > 1 or common.parallel == "fsdp"
    if several:
        # One process needs no port to meet itself at; fsdp wants a group all the same.
        store = HashStore() if size == 1 else None
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield World(rank, size, local_rank=local, cuda=device.type == "cuda")
    except BaseException:
        # Of several, one that fails leaves the others by ending, after it has said why: not before.
        several = size == 1 and several
        raise
    finally:
        if several:
            distributed.destroy_process_group()


VARIABLES = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
"""What torchrun tells each process."""


@dataclass(frozen=True)
class Engine:
    """The model as it is trained: `call` is its forward, shared as `train.common.parallel` says."""

    model: "Network"
    call: nn.Module
    world: World
    precision: torch.dtype

    def autocast(self) -> Any:
        """Half precision in the forward pass; a sharded model does so by itself."""
        return torch.autocast(self.world.device.type, dtype=self.precision, enabled=self.precision != torch.float32)

    def exchange(self, last: bool) -> Any:
        """Exchange gradients in this backward pass only if it is the last of its step (ddp)."""
        if isinstance(self.call, nn.parallel.DistributedDataParallel) and not last:
            return self.call.no_sync()
        return nullcontext()


def share(
    model: "Network",
    world: World,
    *,
    precision: str,
    parallel: str,
    checkpoint_every: int,
    compile: bool,
    recompute_pointwise: bool = False,
) -> Engine:
    """Put a model on its device, wrapped for training.

    Args:
        model: the whole network, its parts trained or frozen already.
        world: who trains it.
        precision: of the forward pass, float32 or bfloat16; the weights stay float32.
        parallel: none, ddp or fsdp, as `train.common.parallel`.
        checkpoint_every: one layer in so many keeps only its input and is recomputed in the backward pass: 1 for every
            layer, 0 for none.
        compile: each layer by itself.
        recompute_pointwise: have the compiled layers keep products of matrices and attention, and work out again what
            lies between them: weights in half precision, activation functions, norms.
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    if checkpoint_every:
        checkpoint_activations(model, checkpoint_every)
    if compile:
        # By itself the compiler keeps what products of the backward pass take, since it cannot be fused into them.
        # Read when a layer is compiled, in its first call; there is no setting of one layer.
        functorch.ban_recompute_materialized_backward = not recompute_pointwise
        for layer in model.stacked_layers:
            # By layer: all layers of a kind share one compilation, and a whole network would take minutes.
            layer.compile()
    if parallel == "fsdp":
        shard(model, world, dtype)
        # fsdp casts weights and activations itself; autocast on top would cast twice.
        return Engine(model, model, world, torch.float32)
    if not getattr(model, "is_quantized", False):  # else it was loaded to where it is
        model.to(world.device)  # type: ignore[arg-type]
    call: nn.Module = model
    if world.size > 1:
        # Gradients are views of what is exchanged: no second copy of them.
        call = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    return Engine(model, call, world, dtype)


def checkpoint_activations(model: "Network", every: int) -> None:
    """One layer in `every` keeps only its input and is recomputed in the backward pass."""
    # transformers 5.23 renamed the method and warns of the old name; 5.17 has the old one alone.
    network: Any = model
    name = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    getattr(network, f"{name}_checkpointing_enable")(every_n_layers=every)


def shard(model: "Network", world: World, precision: torch.dtype) -> None:
    """Each layer, and what is left around them, split over the processes; float32 weights, half in the forward."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    # Inputs are left as they are: days and wavelengths would lose their last digits.
    mixed_precision = MixedPrecisionPolicy(param_dtype=precision, reduce_dtype=torch.float32, cast_forward_inputs=False)
    # Inner modules first, so that each layer's weights are gathered and freed by themselves.
    for module in (*model.stacked_layers, model):
        fully_shard(module, mesh=mesh, mp_policy=mixed_precision)


def packs_of_process(count: int, world: World) -> Iterator[tuple[int, bool]]:
    """(number, whether it counts) of the packs of one step that this process works on; as many on each process."""
    for turn in range(-(-count // world.size)):
        number = turn * world.size + world.rank
        yield (number, True) if number < count else (0, False)
