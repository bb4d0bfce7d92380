"""Where files of one's own lie: in `inputs/`, on which the stages that read them depend."""

from collections.abc import Callable
from pathlib import PurePosixPath

INPUTS = "inputs"


def own_path(room: str) -> Callable[[str], str]:
    """A validator of paths in params.yaml: relative, under inputs/<room>, and never out of it."""

    def check(path: str) -> str:
        parts = PurePosixPath(path).parts
        if parts[:2] != (INPUTS, room) or len(parts) < 3 or ".." in parts or "\0" in path:
            raise ValueError(
                f"a file of one's own lies under {INPUTS}/{room}/, for only there does a change of it run the stages "
                f"again; move it there, or link to it from there"
            )
        return path

    return check
