"""Words that stand for what was read in a text, and what each of them stands for."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reading:
    """A text as the verifier reads it."""

    clauses: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def note(self, letter: str, value: Any) -> str:
        """A word for what was read."""
        self.values.append(value)
        return f"{letter}{len(self.values) - 1}"

    def of(self, word: str) -> Any:
        """What a word stands for."""
        return self.values[int(word[1:])]
