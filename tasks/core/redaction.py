"""What must not leave a run: signatures and tokens, and what is true of this run only, such as a port or a path."""

import logging
import re
import tempfile
from pathlib import Path


def redacted(text: str) -> str:
    """`text` without queries of URLs, ports of loopback, temporary paths and addresses in memory."""
    text = re.sub(r"((?:https?|s3)://[^\s?'\"<>]*)\?[^\s'\"<>)]*", r"\1", text)
    text = re.sub(r"/vsicurl\?[^\s'\"<>)]*", "/vsicurl", text)
    text = re.sub(r"(?i)\b(127(?:\.\d+){3}|localhost|\[::1\])([:/]| port )\d+", r"\1", text)
    text = re.sub(r"(?i)\b(sig|token|x-amz-[\w-]+|awsaccesskeyid|signature)=[^\s&'\"]+", r"\1=...", text)
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}/[^\s'\":,)]*/", "", text)
    text = text.replace(f"{Path.cwd()}/", "")
    return re.sub(r" at 0x[0-9a-f]+", "", text)


class RedactingFilter(logging.Filter):
    """Redacts what libraries log: they know nothing of what is secret in a URL."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the message in place; every record passes."""
        if record.name.partition(".")[0] in self._names:
            record.msg, record.args = redacted(record.getMessage()), ()
        return True
