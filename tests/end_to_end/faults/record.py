"""The table of the drills: a row a fault, of what was measured."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

HEAD = ("fault", "what was done", "what happened", "states of the runs", "rows lost, doubled", "left", "s")


@dataclass
class Row:
    """What a drill has seen so far; a drill fills it in as it goes."""

    fault: str = ""
    done: str = ""
    happened: str = ""
    states: list[str] = field(default_factory=list)
    rows: tuple[int, int, int] | None = None
    """Rows there, lost and doubled; None where no table is made."""
    left: list[str] = field(default_factory=list)
    """Processes."""
    began: float = field(default_factory=time.time)
    failed: str = ""

    def cells(self) -> Sequence[str]:
        rows = "-" if self.rows is None else f"{self.rows[1]}, {self.rows[2]} of {self.rows[0]}"
        happened = f"fails: {self.failed}" if self.failed else self.happened
        states = "; ".join(self.states)
        return (
            self.fault, self.done, happened, states, rows, str(len(self.left)), f"{time.time() - self.began:.0f}"
        )  # fmt: skip


def table(rows: Sequence[Sequence[str]]) -> str:
    """As Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in line)} |\n" for line in lines
    )
