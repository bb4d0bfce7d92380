"""JSON lines: one object a line, read one by one, the wrong line named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.core.errors import EarthloomError


def read_json_lines(path: Path, error: type[EarthloomError], advice: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of a file of JSON lines; empty lines are left out, a byte order mark does not matter.

    Args:
        path: of the file.
        error: what is raised where a line is wrong.
        advice: what to do then, for people.

    Raises:
        EarthloomError: as `error`: a line is not JSON, is nested too deep to be read, or is no object.
    """
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as problem:
                raise error(f"{path}, line {number} is not JSON: {problem}; {advice}") from problem
            if not isinstance(value, dict):
                raise error(f"{path}, line {number} is not an object of fields, but {type(value).__name__}; {advice}")
            yield number, value
