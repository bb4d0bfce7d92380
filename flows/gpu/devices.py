"""What surrounds an instance that trains or answers on this host: its devices, and its checkpoints on the way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.logging import get_run_logger

from flows.gpu.checkpoints import Checkpoints
from flows.gpu.leases import CPU, devices_here, leased, processors
from flows.gpu.progress import relayed
from flows.recording.graph import Instance
from flows.versions.host import Host
from flows.versions.remote import Remote
from flows.walking.instance import Leased
from flows.walking.processes import Devices
from tasks.core import paths
from tasks.core.section import PARAMS_FILE, read_params


def of_host(host: Host, root: Path) -> Leased:
    """Leases of a host's devices, for a walk of the workspace at `root` whose work stays here."""
    return lambda instance: _lease(host, root, instance)


def travelling(host: Host, root: Path, remote: Remote, key: str) -> Leased:
    """Leases of a host's devices; checkpoints go to the remote while the instance runs, and come from it before.

    Args:
        host: whose devices they are.
        root: of the workspace.
        remote: where the checkpoints lie meanwhile.
        key: of the instance and all it is made from.
    """

    @contextmanager
    def surroundings(instance: Instance) -> Iterator[Devices]:
        work = root / paths.work(instance.address)
        checkpoints = Checkpoints(work, remote.filesystem, remote.path(), key, get_run_logger())
        # Fetched once the devices are ours: whoever had them before may have left a newer one.
        with _lease(host, root, instance) as devices:
            checkpoints.restore()
            with checkpoints.watch():
                yield devices

    return surroundings


@contextmanager
def _lease(host: Host, root: Path, instance: Instance) -> Iterator[Devices]:
    logger, work = get_run_logger(), root / paths.work(instance.address)
    devices, count = devices_here(), None
    if devices == (CPU,):
        # Small networks train on one thread each: as many side by side as there are processors.
        devices = processors()
        count = min(threads_of(instance.stage, read_params(root / PARAMS_FILE)) or len(devices), len(devices))
    with (
        leased(host.leases, instance.address, devices, count, logger) as lease,
        relayed(work, instance.address, logger),
    ):
        yield Devices(lease.environment, lease.descriptors)


ASKS = {"frozen": "evaluate", "forgetting": "evaluate"}
"""Stages that ask a model with the parameters of another one."""


def threads_of(stage: str, params: Mapping[str, Any]) -> int:
    """CPU threads that params.yaml gives a stage; 0 for all, as for one that it says nothing of."""
    training = {"train": "model", "moe": "moe.model"}
    if stage not in training:
        return int((params.get(ASKS.get(stage, stage)) or {}).get("threads", 0))
    values = dict(params["train"]["common"])
    model: Any = params
    for name in training[stage].split("."):
        model = model[name]
    section = params[stage]
    if stage == "moe":
        values |= section.get("common", {})
    values |= section.get("presets", {}).get(model["preset"], {}).get("common", {})
    return int(values.get("threads", 0))
