"""Print the base job template of a work pool, with its image and other defaults set.

`python infra/pools/render.py docker|kubernetes cpu|gpu image=NAME:TAG [VARIABLE=VALUE ...] > template.json`. A value is
JSON or, where it is none, the text itself. It needs no package.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PINNED = re.compile(r"\S+(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})")


def render(engine: str, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """The template of `engine`, for runs on CPUs or on a GPU, with the given values as defaults of its variables.

    Raises:
        ValueError: no such engine, kind or variable; or the image is missing, or has no tag of its own.
    """
    if engine not in ("docker", "kubernetes") or kind not in ("cpu", "gpu"):
        raise ValueError(f"{engine} {kind}: must be docker or kubernetes, then cpu or gpu")
    if not PINNED.fullmatch(str(given.get("image"))):
        raise ValueError("image must be given as NAME:TAG or NAME@sha256:..., and the tag not be latest")
    template: dict[str, Any] = json.loads((HERE / f"{engine}.json").read_text(encoding="utf-8"))
    variables = template["variables"]["properties"]
    defaults = json.loads((HERE / "gpu.json").read_text(encoding="utf-8"))[engine] if kind == "gpu" else {}
    for name, value in (defaults | given).items():
        if name not in variables:
            raise ValueError(f"{name} is no variable of {engine}.json; there are {', '.join(variables)}")
        variables[name]["default"] = value
    return template


def read(arguments: list[str]) -> dict[str, Any]:
    """`name=value` arguments as values."""
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise ValueError(f"{argument}: must be VARIABLE=VALUE")
        try:
            given[name] = json.loads(text)
        except json.JSONDecodeError:
            given[name] = text
    return given


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        print(json.dumps(render(sys.argv[1], sys.argv[2], read(sys.argv[3:])), indent=2))
    except ValueError as error:
        sys.exit(f"error: {error}")
