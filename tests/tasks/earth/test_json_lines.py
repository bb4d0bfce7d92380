"""tasks/core/json_lines.py: every object with its line, and the line that is wrong."""

from pathlib import Path

import pytest

from tasks.core.errors import BenchmarkError
from tasks.core.json_lines import read_json_lines


def read(path: Path, text: str) -> list[tuple[int, dict]]:
    path.write_text(text, encoding="utf-8-sig")
    return list(read_json_lines(path, BenchmarkError, "fetch it again"))


def test_objects_come_with_their_lines_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path / "x", '{"a": 1}\n\n{"b": 2}\n') == [(1, {"a": 1}), (3, {"b": 2})]


@pytest.mark.parametrize(
    ("line", "what"),
    [("nothing", "not JSON"), ("[1]", "not an object of fields, but list"), ("[" * 100_000, "not JSON: maximum rec")],
    ids=["no JSON", "a list", "nested too deep"],
)
def test_a_wrong_line_is_named_with_what_to_do(tmp_path: Path, line: str, what: str) -> None:
    with pytest.raises(BenchmarkError, match=f"line 2 is {what}.*fetch it again"):
        read(tmp_path / "x", f'{{"a": 1}}\n{line}\n')
