"""The training step where torch, transformers and numpy are all there is, as on a lent GPU machine."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MISSING = (
    "rasterio",
    "polars",
    "pydantic",
    "pyarrow",
    "cyclopts",
    "pystac",
    "prefect",
    "dvc",
    "rich",
    "peft",
    "shapely",
)
BARE = """
import runpy, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from importlib.metadata import MetadataPathFinder

class Bare(MetadataPathFinder):
    '''As if these were not installed: not found, for those who ask before they import too.'''

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in MISSING else PathFinder.find_spec(name, path, target)

MISSING = sys.argv[1].split(",")
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Bare]
module, sys.argv[:] = sys.argv[2], sys.argv[2:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
TRY_OUT = ("--device", "cpu", "--preset", "tiny", "--length", "512")


def bare(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m module` without the packages in `MISSING`."""
    command = [sys.executable, "-c", BARE, ",".join(MISSING), module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_the_gpu_benchmark_takes_its_steps_without_the_rest_of_the_stack(tmp_path: Path) -> None:
    variants = ("no-checkpointing", "fsdp", "default")
    figures = tmp_path / "figures.json"
    options = ("--variants", ",".join(variants), "--steps", "1", "--json", str(figures), "--profile", "fsdp")
    done = bare("benchmarks.gpu_4b", *TRY_OUT, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"{variant}: step 3 took" in done.stdout for variant in variants)
    results = json.loads(figures.read_text())["results"]
    assert [result["outcome"] for result in results] == ["measured"] * 3
    assert all(result["mfu"] > 0 and result["tokens_per_second"] > 0 for result in results)
    assert [result["variant"] for result in results] == ["no-checkpointing", "default", "fsdp"]
    assert results[2]["kernels"]
    # The same packs and weights: how activations are kept changes no loss.
    assert results[0]["loss"] == results[1]["loss"]


def test_the_gpu_benchmark_names_what_the_time_does_not_suffice_for() -> None:
    done = bare("benchmarks.gpu_4b", *TRY_OUT, "--minutes", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("not run: out of time") == 3


def test_the_gpu_benchmark_of_experts_runs_without_the_rest_of_the_stack(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = (
        "--device",
        "cpu",
        "--preset",
        "tiny",
        "--steps",
        "1",
        "--samples",
        "1",
        "--images",
        "1",
        "--tokens",
        "2",
    )
    done = bare("benchmarks.gpu_rsmoe", *options, "--json", str(figures))
    assert done.returncode == 0, done.stdout + done.stderr
    results = {result["what"]: result for result in json.loads(figures.read_text())["results"]}
    assert list(results) == [
        "captions of 1, shared",
        "captions of 1, separate",
        "step of stage 2, shared",
        "step of stage 2, separate",
    ]
    assert all(one["outcome"] == "measured" and one["tokens_per_second"] > 0 for one in results.values())
    assert all(results[f"step of stage 2, {kind}"]["mfu"] > 0 for kind in ("shared", "separate"))


def test_a_package_that_is_missing_is_missing_to_the_process_of_these_tests() -> None:
    assert "No module named 'pydantic'" in bare("tasks.check").stderr
