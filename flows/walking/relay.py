"""What a command prints, line by line, into a log."""

import json
import logging
from collections import deque


class Relay:
    """Sends printed lines to a logger: JSON lines of tasks.core.log at their level, others as they are."""

    def __init__(self, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._logger = logger
        self._lines: deque[str] = deque(maxlen=1)
        self._errors: deque[str] = deque(maxlen=1)

    def __call__(self, line: str) -> None:
        """Relay one line."""
        if not line.strip():
            return
        level, message = _parse(line)
        self._logger.log(level, "%s", message)
        (self._errors if level >= logging.ERROR else self._lines).append(message)

    def last_words(self) -> str:
        """The last error that was logged, or else the last line."""
        return "".join(self._errors or self._lines)


def _parse(line: str) -> tuple[int, str]:
    try:
        record = json.loads(line)
        level = logging.getLevelNamesMapping()[record["level"].upper()]
        detail = f"\n{record['traceback']}" if "traceback" in record else ""
        return level, f"{record['message']}{detail}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return logging.INFO, line
