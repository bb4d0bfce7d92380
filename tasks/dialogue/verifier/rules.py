"""Rules that put a text into other words, each tried only where it can apply."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Instead = str | Callable[[re.Match[str]], str]


@dataclass(frozen=True)
class Rule:
    """What is replaced by what."""

    needs: tuple[str, ...]
    """Texts of which one stands in whatever the pattern can match; looking for them costs a tenth of a search."""
    pattern: re.Pattern[str]
    instead: Instead


def rule(needs: str, pattern: str, instead: Instead = "", flags: int = 0) -> Rule:
    """A rule; `needs` are separated by bars."""
    return Rule(tuple(needs.split("|")), re.compile(pattern, flags), instead)


def rewritten(text: str, rules: Sequence[Rule]) -> str:
    """A text after all rules, in their order."""
    for one in rules:
        for need in one.needs:
            if need in text:
                text = one.pattern.sub(one.instead, text)
                break
    return text
