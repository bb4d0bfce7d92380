"""What one file of code says of itself by its syntax tree: a hash, and what it imports and may read.

The hash is of a form that is the same for every supported Python, without comments, docstrings and blank lines. What a
file says depends on its bytes and its name alone, so it is kept by these: parsing is half a second of a stage's start.
"""

import ast
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from tasks.core.errors import CodeError

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
IMPORTERS = {"import_module", "__import__", "find_spec"}
"""Functions that import by a name given as text."""
KEPT = "syntax.json"
MOST_KEPT = 5000
"""Files of which is kept what they say; with more, the memory begins anew."""


@dataclass(frozen=True)
class Source:
    """What one file says of itself."""

    hash: str
    imports: frozenset[str]
    """Names of modules that it imports, or of what it imports from them."""
    texts: frozenset[str]
    """Texts that may be the name of a module that it starts: `python -m tasks.some.module`."""
    places: frozenset[str]
    """Modules whose place on disk it asks for, and so may read the data files there."""


class Sources:
    """What files say, kept from one process to the next in a folder; in none, only as long as this is."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder and folder / KEPT
        # What another version of this page found in a file is not what this one would.
        self._reader = f"{_digest(Path(__file__).read_bytes())} {sys.version_info[:2]}"
        self._known = self._kept()
        self._new = False

    def read(self, file: Path, name: str) -> Source:
        """What the file of the module `name` says.

        Raises:
            CodeError: it does not parse, or imports by a name that only its run would tell.
        """
        content = file.read_bytes()
        key = _digest(b"\0".join([name.encode(), file.name.encode(), content]))
        if key not in self._known:
            self._known[key] = parse(content, file, name)
            self._new = True
        return self._known[key]

    def keep(self) -> None:
        """Write what is new for later processes; where nothing can be written, they parse again."""
        if self._file is None or not self._new:
            return
        known = {key: [s.hash, *map(sorted, (s.imports, s.texts, s.places))] for key, s in self._known.items()}
        partial = self._file.with_name(f".{self._file.name}.{os.getpid()}-{threading.get_ident()}.partial")
        with suppress(OSError):
            self._file.parent.mkdir(exist_ok=True)
            partial.write_text(json.dumps({"reader": self._reader, "files": known}))
            os.replace(partial, self._file)
        self._new = False

    def _kept(self) -> dict[str, Source]:
        try:
            read = json.loads(self._file.read_bytes()) if self._file else {}
            if read and read["reader"] == self._reader and len(read["files"]) < MOST_KEPT:
                return {key: Source(found[0], *map(frozenset, found[1:])) for key, found in read["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            pass  # none yet, or one that is damaged
        return {}


def parse(content: bytes, file: Path, name: str) -> Source:
    """What a file says, from its content; errors as of `Sources.read`."""
    try:
        tree = ast.parse(content, str(file))
    except SyntaxError as error:
        raise CodeError(f"{file}, line {error.lineno}: {error.msg}") from error
    parent = name if file.name == "__init__.py" else name.rpartition(".")[0]
    names: set[str] = set()
    texts: set[str] = set()
    places: set[str] = set()
    for node in _running(tree):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                above = parent.rsplit(".", node.level - 1)[0] if node.level else ""
                base = ".".join(filter(None, [above, node.module]))
                names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
            case ast.Call() if _last_name(node.func) in IMPORTERS:
                names.add(_given(node, file))
            case ast.Call(args=[argument, *_]) if _last_name(node.func) == "files":  # importlib.resources
                package = _given(node, file) if isinstance(argument, ast.Constant) else name
                places.add(package)
                names.add(package)
            case ast.Constant(value=str(text)) if DOTTED.fullmatch(text):
                texts.add(text)
            case ast.Name(id="__file__"):
                places.add(name)
            case ast.Attribute(attr="__file__"):
                places.add(ast.unparse(node.value))
    return Source(_digest(_canonical(tree).encode()), *map(frozenset, (names, texts, places)))


def prefixes(name: str) -> list[str]:
    """`a.b.c` -> a, a.b, a.b.c."""
    steps = name.split(".")
    return [".".join(steps[: end + 1]) for end in range(len(steps))]


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that can have an effect: all but those for type checkers alone."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending += node.orelse if _for_types(node) else ast.iter_child_nodes(node)


def _for_types(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and _last_name(node.test) == "TYPE_CHECKING"


def _last_name(node: ast.expr) -> str:
    """`c` of `c` and of `a.b.c`; empty for what is no name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _given(node: ast.Call, file: Path) -> str:
    match node.args[:1]:
        case [ast.Constant(value=str(text))]:
            return text
    raise CodeError(
        f"{file}, line {node.lineno}: `{ast.unparse(node)}` imports a name that only its run would tell, so what the "
        "module reaches cannot be known. Import it by an `import` statement, inside a function if it is heavy"
    )


def _canonical(value: Any) -> str:
    """A syntax tree as text: without docstrings and places, and in one form for all versions of Python."""
    if isinstance(value, list):
        # A string that stands alone is a docstring, of an attribute too.
        lines = [one for one in value if not (isinstance(one, ast.Expr) and _is_text(one.value))]
        return f"[{','.join(_canonical(one) for one in lines if not _for_types(one) or one.orelse)}]"
    if not isinstance(value, ast.AST):
        return repr(value)
    if _for_types(value):
        return _canonical(value.orelse)
    if isinstance(value, ast.JoinedStr):  # its texts are joined or cut otherwise from one version to the next
        value = ast.JoinedStr(_joined(value.values))
    # Fields that are empty are left out: newer versions have more of them (`type_params`, since 3.12).
    fields = ((name, field) for name, field in ast.iter_fields(value) if field not in (None, []) and name != "kind")
    return f"{type(value).__name__}({','.join(f'{name}={_canonical(field)}' for name, field in fields)})"


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    joined: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and joined and isinstance(joined[-1], ast.Constant):
            joined[-1] = ast.Constant(str(joined[-1].value) + str(value.value))
        elif not (isinstance(value, ast.Constant) and value.value == ""):
            joined.append(value)
    return joined


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
