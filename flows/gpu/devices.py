"""What surrounds an instance that trains or answers on this host: its devices, and its checkpoints on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.logging import get_run_logger

from flows.gpu.checkpoints import Checkpoints
from flows.gpu.leases import leased
from flows.gpu.progress import relayed
from flows.recording.graph import Instance
from flows.versions.host import Host
from flows.versions.remote import Remote
from flows.walking.instance import Leased
from flows.walking.processes import Devices
from tasks.core import paths


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
    with leased(host.leases, instance.address, logger=logger) as lease, relayed(work, instance.address, logger):
        yield Devices(lease.environment, lease.descriptors)
