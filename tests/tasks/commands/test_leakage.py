import json
import subprocess
import sys

import pyarrow.parquet as pq

from tests.tasks.evaluation.leakage.sides import ROOT, benchmark, chips, encoded, mixture


def earthloom(folder, *arguments):
    words = [sys.executable, "-P", "-c", "import earthloom; earthloom.main()", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "160"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_the_command_prints_a_table_and_writes_pairs_and_summary(tmp_path):
    pictures = chips()[:6]
    training = mixture(tmp_path / "mixture/3", pictures[:4])
    benchmark(tmp_path / "data/benchmarks/imported/aid", [encoded(picture) for picture in pictures[3:]])
    done = earthloom(tmp_path, "leakage", training, "aid", "--name", "stage3")
    assert done.returncode == 0, done.stderr
    assert "1 (33.3 %)" in done.stdout and "not known" in done.stdout
    folder = tmp_path / "data/leakage/stage3/aid"
    assert json.loads((folder / "summary.json").read_text())["leaked"]["any"] == {"n": 1, "share": 0.333333}
    assert pq.read_table(folder / "pairs.parquet")["training_image"].to_pylist() == ["chip3"]


def test_a_benchmark_nobody_imported_is_named_with_the_way_to_get_it(tmp_path):
    training = mixture(tmp_path / "mixture/3", chips()[:1])
    done = earthloom(tmp_path, "leakage", training, "aidd")
    assert done.returncode == 1
    assert "there is no benchmark 'aidd'" in done.stderr and "bench import" in done.stderr
