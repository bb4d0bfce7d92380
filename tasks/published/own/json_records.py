"""The records of a JSON array or of JSON lines, cut out of a file of any size and opened one by one.

Cut here and not by a streaming parser such as ijson: that one replaces half a surrogate pair in silence, and stops for
good at the first byte that is no UTF-8, so that one bad record would take all after it along. Only brackets and strings
are looked at to find where a record ends; what is in it is the business of `parse`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tasks.published.arrow_files import SourceError
from tasks.published.repairs import Notes, RowError

MAX_RECORD = 64 * 2**20
"""Bytes of one record; a longer one is passed over without being held."""
BLOCK = 2**20
BOM = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"
_STRUCTURE = re.compile(rb'["{}\[\],]')
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""The inside of a string, up to its end or that of the block."""


def read_records(path: Path, block: int = BLOCK, under: str = "") -> Iterator[bytes | None]:
    """The bytes of each record in order; None for one of more than `MAX_RECORD`.

    Args:
        path: of the file.
        block: bytes of an array that are read at a time.
        under: first field of an object that may stand around the array.

    Raises:
        SourceError: the file is empty or no JSON, or its array is not closed; whole records before that are given.
    """
    with path.open("rb") as file:
        head = file.read(BLOCK)
        start = len(BOM) if head.startswith(BOM) else 0
        text = head[start:].lstrip(SPACE)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise SourceError("is UTF-16; JSON is UTF-8: convert it with `iconv -t UTF-8`")
        opening = re.match(rb"(?:\{\s*%b\s*:\s*)?\[" % json.dumps(under).encode(), text)
        if opening and (under or text[:1] == b"["):
            file.seek(len(head) - len(text) + opening.end())
            yield from _array(file, block)
        elif text[:1] == b"{":
            file.seek(start)
            yield from _lines(file)
        else:
            raise SourceError(f"is neither a JSON array nor JSON lines: it begins with {text[:20]!r}")


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    while line := file.readline(MAX_RECORD + 1):
        if len(line) > MAX_RECORD:
            while line and not line.endswith(b"\n"):
                line = file.readline(BLOCK)
            yield None
        elif line.strip():
            yield line.strip()


def _array(file: IO[bytes], size: int) -> Iterator[bytes | None]:
    """Elements of an array whose opening bracket has been read."""
    element = _Element()
    depth, in_string, escaped, first = 0, False, False, True
    while block := file.read(size):
        begun = position = int(escaped)
        element.add(block[:begun])
        escaped = False
        while position < len(block):
            if in_string:
                position = _STRING.match(block, position).end()  # type: ignore[union-attr]  # it matches nothing, too
                if position < len(block):
                    in_string, escaped = block[position] != ord('"'), block[position] == ord("\\")
                    position += 1
                continue
            found = _STRUCTURE.search(block, position)
            if found is None:
                break
            token, position = found[0], found.end()
            if token == b'"':
                in_string = True
            elif token in b"{[":
                depth += 1
            elif depth and token in b"}]":
                depth -= 1
            elif token == b"}":
                raise SourceError("closes a bracket that it never opened: the rest cannot be cut into records")
            elif not depth:
                element.add(block[begun : found.start()])
                begun = position
                # Nothing between two commas is a record that is no JSON; an array may be empty.
                if token == b"," or not element.empty or not first:
                    yield element.take()
                first = False
                if token == b"]":
                    return
        element.add(block[begun:])
    raise SourceError("ends within its array: it is cut short")


class _Element:
    """The bytes of one element, unless they are too many."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._large = False

    def add(self, some: bytes) -> None:
        """Hold some more bytes, or none at all any more."""
        self._large = self._large or len(self._held) + len(some) > MAX_RECORD
        if self._large:
            self._held.clear()
        else:
            self._held += some

    @property
    def empty(self) -> bool:
        """Whether there is nothing but space so far."""
        return not self._large and not self._held.strip(SPACE)

    def take(self) -> bytes | None:
        """What is held, and begin the next; None if it was too much."""
        content = None if self._large else bytes(self._held).strip(SPACE)
        self._held.clear()
        self._large = False
        return content


def parse(content: bytes, notes: Notes) -> dict[str, Any]:
    """The object that a record is.

    Raises:
        RowError: not-text, not-json, duplicate-field or not-a-conversation.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError("not-text", f"byte {error.start} of the record is no UTF-8") from error
    try:
        value = _loads(text, strict=True)
    except (ValueError, RecursionError) as problem:
        try:
            value = _loads(text, strict=False)
        except RecursionError as error:
            raise RowError("not-json", "brackets are nested too deep to be read") from error
        except ValueError as error:
            raise RowError("not-json", f"{problem} in {text[:60]!r}") from error
        notes.repair("control-character")
    if not isinstance(value, dict):
        raise RowError("not-a-conversation", f"an object is needed, found {type(value).__name__}")
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise RowError("not-text", "half a surrogate pair: it is no character") from error
    return value


def _loads(text: str, strict: bool) -> Any:
    return json.loads(text, strict=strict, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError("duplicate-field", f"the field {twice!r} stands twice, and may mean either")
    return fields
