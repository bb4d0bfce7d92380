"""Errors of the tools, in the words of their parameters."""

from tasks.core.errors import EarthloomError


class AssistantError(EarthloomError):
    """What an assistant asks for cannot be given: says which parameter, and what may stand there."""


class LeftError(AssistantError):
    """The assistant does not wait for the result any longer."""


def shown(value: object, most: int = 60) -> str:
    """A value of a stranger, short enough for a sentence."""
    text = repr(value)
    return text if len(text) <= most else text[:most] + "..."
