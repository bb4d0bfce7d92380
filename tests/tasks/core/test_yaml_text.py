"""params.yaml as hands and hosts may leave it: read right, or refused with the line and what to do."""

import resource
from pathlib import Path

import pytest

from tasks.core.errors import ParamsError
from tasks.core.section import read_params

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
)
"""430 bytes that stand for 100 million."""


def read(folder: Path, content: bytes) -> object:
    path = folder / "params.yaml"
    path.write_bytes(content)
    return read_params(path)


def test_what_is_plain_is_read(tmp_path: Path) -> None:
    text = "a: 1\nb: {c: [1, 2.5, null, true], d: 'x: y'}\nä: \"§\"\ne:\n  - f: 1\n    g: 2\n  - f: 1\n"
    assert read(tmp_path, text.encode()) == {
        "a": 1,
        "b": {"c": [1, 2.5, None, True], "d": "x: y"},
        "ä": "§",
        "e": [{"f": 1, "g": 2}, {"f": 1}],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB.encode(), r"line 2: '\*a0' repeats another part; write it out"),
        (b"a: 1\nb: {c: 1, c: 2}\n", r"line 2: 'c' stands there twice; remove one"),
        (b"grid: {}\nscan: {}\ngrid: {}\n", r"line 3: 'grid' stands there twice"),
        (b"a: 1\nb: \xff\n", r"line 2: byte 0xff is not UTF-8; save the file as UTF-8"),
        ("a: é\n".encode("latin-1"), r"line 1: byte 0xe9 is not UTF-8"),
        ("a: 1\n".encode("utf-16"), r"line 1: byte 0xff is not UTF-8"),
        (b"a: \x00\n", r"is not valid YAML"),
        (b"a: [1\n", r"is not valid YAML"),
        (b"a: " + b"[" * 5000, r"nested more than 100 deep"),
        (b"a: !!python/object/apply:os.system [id]\n", r"is not valid YAML"),
        (b"a: 2026-13-45\n", r"is not valid YAML"),
        (b"x" * 5_000_000, r"has 5,000,000 characters; at most 4,000,000 are read"),
        (b"- a\n", r"must be a mapping of sections, not list"),
        (b"", r"must be a mapping of sections, not NoneType"),
    ],
)
def test_what_is_not_is_refused_with_its_line(content: bytes, message: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ParamsError, match=message):
        read(tmp_path, content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
