"""A Dask cluster of batch jobs on Slurm: `python infra/dask/slurm.py --workers 40 --partition cpu`.

The scheduler runs here, workers as batch jobs from this environment: the same code as the runs, or they are refused.
Prints the address for EARTHLOOM_DASK, and stays until it is interrupted. Needs `pip install dask-jobqueue`; other batch
systems have their class there too (PBSCluster, LSFCluster, SGECluster).
"""

import argparse
import os
import signal
import sys

from tasks.core.results import VARIABLE


def main() -> int:
    """Start the cluster and wait."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--partition", required=True)
    parser.add_argument("--walltime", default="04:00:00")
    parser.add_argument("--memory", default="3GB", help="of a worker")
    parser.add_argument("--interface", help="network interface that nodes reach each other by, such as ib0")
    given = parser.parse_args()
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        return print("dask-jobqueue is not installed: pip install dask-jobqueue", file=sys.stderr) or 1
    cache = os.environ.get(VARIABLE)
    cluster = SLURMCluster(
        cores=1, processes=1, memory=given.memory, queue=given.partition, walltime=given.walltime,
        interface=given.interface, python=sys.executable,
        job_script_prologue=[f"export {VARIABLE}={cache}"] if cache else [],
    )  # fmt: skip
    cluster.scale(jobs=given.workers)
    print(f"EARTHLOOM_DASK={cluster.scheduler_address}", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        cluster.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
