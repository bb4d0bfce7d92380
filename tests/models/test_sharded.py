"""The network under torch's fully_shard: real processes, real collectives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_a_sharded_step_over_rgb_here_and_twelve_bands_there_is_that_of_the_whole_network(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *(str(ROOT / "tests/fixtures/sharded_step.py"), str(tmp_path)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        timeout=240,
        check=True,
    )
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["losses"][0] == pytest.approx(found["losses"][1], rel=1e-6)
        assert found["apart"] < 1e-6
        assert found["silent"] == []
