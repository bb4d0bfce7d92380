"""CPU-seconds of the stages that read pixels, on the sample: this code and another checkout of it in the same run.

    python -m benchmarks.chips_cost [--other CHECKOUT] [--rounds 3]

Both run `scan` and `chips` of every sensor and part over the scenes, labels and selection that each has made itself,
in turns, so that a busy machine slows both. CHECKOUT is another clone with its own `.venv` (`make env`); without it
this code alone is measured. CPU is user and system time of the stages' processes and of those they start, less that of
`python -m tasks.check`, which is what starting and importing cost. Network is loopback.
"""

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[1]
SENSORS = ("sentinel-2", "sentinel-1", "landsat")


def cpu(command: list[str], folder: Path, checkout: Path) -> float:
    """CPU-seconds of a command and all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


class Code:
    """One checkout, working in a folder of its own."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout, self.folder = checkout, folder
        folder.mkdir()
        for name in ("samples", "requirements.lock", "params.yaml", "inputs"):
            if (checkout / name).exists():
                (folder / name).symlink_to(checkout / name)
        for sensor in SENSORS:
            self.run("scenes", sensor)
            for part in self.parts:
                self.run("scan", sensor, part)
            for part in self.parts if "part: str" in (checkout / "tasks/labels.py").read_text() else [""]:
                self.run("labels", sensor, part)
            self.run("select", sensor)

    @property
    def parts(self) -> list[str]:
        return list(yaml.safe_load((self.folder / "params.yaml").read_text())["grid"]["parts"])

    def run(self, stage: str, sensor: str = "", part: str = "") -> float:
        options = [*(["--sensor", sensor] if sensor else []), *(["--part", part] if part else [])]
        python = str(self.checkout / ".venv/bin/python")
        return cpu([python, "-m", f"tasks.{stage}", *options], self.folder, self.checkout)

    def measure(self) -> tuple[float, float, int]:
        """CPU-seconds of all `scan`, of all `chips`, and how many chips there are."""
        seconds = {"scan": 0.0, "chips": 0.0}
        start = self.run("check")
        for stage in seconds:
            for sensor in SENSORS:
                for part in self.parts:
                    # What is kept of scenes would be read, and not made.
                    shutil.rmtree(self.folder / ".earthloom/results", ignore_errors=True)
                    seconds[stage] += max(self.run(stage, sensor, part) - start, 0.0)
        shards = (self.folder / "data/chips").rglob("shard-*.parquet")
        return seconds["scan"], seconds["chips"], sum(pq.read_metadata(path).num_rows for path in shards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, help="another checkout with its .venv")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        checkouts = [given.other.resolve(), ROOT] if given.other else [ROOT]
        codes = [Code(checkout, Path(temporary) / str(number)) for number, checkout in enumerate(checkouts)]
        found: list[list[tuple[float, float, int]]] = [[] for _ in codes]
        for _ in range(given.rounds):
            for measured, code in zip(found, codes, strict=True):
                measured.append(code.measure())
        best = [(min(m[0] for m in rounds), min(m[1] for m in rounds), rounds[0][2]) for rounds in found]
        for checkout, (scan, chips, count) in zip(checkouts, best, strict=True):
            name = subprocess.run(["git", "log", "-1", "--format=%h %s"], cwd=checkout, capture_output=True, text=True)
            print(f"{name.stdout.strip()[:60]:<62} scan {scan:6.2f} s  chips {chips:6.2f} s  {count} chips", end="")
            print(f"  {count / chips:6.1f} chips/CPU-s  {count / (scan + chips):6.1f} with scan")
        if len(best) == 2:
            rate = [count / chips for _, chips, count in best]
            print(f"chips of a CPU-second, this code beside the other: {rate[1] / rate[0]:.2f}")


if __name__ == "__main__":
    main()
