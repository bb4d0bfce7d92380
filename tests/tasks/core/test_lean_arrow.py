"""pandas is imported by who uses it, and costs no other process its memory."""

import subprocess
import sys

import pytest

BEFORE = "import sys, numpy as np, pyarrow as pa\nfrom tasks.core import tables\n"


def said(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEFORE + program], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("made", ["pa.array(['a'])", "pa.array(np.zeros(3))", "pa.Table.from_pylist([{'a': 1}])"])
def test_a_table_is_made_without_pandas(made: str) -> None:
    assert said(f"{made}\nprint('pandas' in sys.modules)") == "False"


def test_who_asks_for_a_frame_of_pandas_gets_one_and_its_series_are_understood_again() -> None:
    program = """
frame = pa.table({"a": [1.5, None]}).to_pandas()
print(pa.array(frame["a"]).null_count, pa.array(np.array([np.nan, 1.0]), from_pandas=True).null_count)
"""
    assert said(program) == "1 1"
