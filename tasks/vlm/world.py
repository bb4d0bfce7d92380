"""The rank of a process among those that share a run. torch is imported only where there are several."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class World:
    """One process among those that train a model or answer questions together."""

    rank: int = 0
    """Of all processes."""
    size: int = 1
    """How many there are."""
    local_rank: int = field(default=0, kw_only=True)
    """Of the processes on this machine: the number of its GPU."""
    cuda: bool = field(default=False, kw_only=True)
    """Whether it computes on a GPU."""

    @property
    def device(self) -> "torch.device":
        """Where this process computes."""
        import torch

        return torch.device("cuda", self.local_rank) if self.cuda else torch.device("cpu")

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """Sums over all processes, the same on each."""
        if self.size == 1:
            return values
        import torch

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return list(total.tolist())

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier()
