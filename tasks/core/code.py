"""One answer to "what made this?": the code that a module reaches, as one hash.

A module reaches the modules it imports, wherever in its lines it imports them, and what those import in turn; the
data files that lie beside a module which asks for its own place (`__file__`, `importlib.resources`); and the locked
version of every distribution imported on the way. Stages, resumes and caches all ask here, so that nothing made by
other code is ever used as if it were made by this one.

Comments, docstrings and blank lines are not part of it: modules are hashed by their syntax tree, in a form that is
the same for every supported Python. Only the standard library is imported here, and no module is ever run.
"""

import ast
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeGuard

from tasks.core.errors import CodeError

ROOT = Path(__file__).resolve().parents[2]
"""Of the checkout: what lies under it is ours, and `requirements.lock` says which versions of the rest."""
LOCK = "requirements.lock"
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
JINJA_COMMENT = re.compile(rb"\{#.*?#\}", re.DOTALL)
IMPORTERS = {"import_module", "__import__", "find_spec"}
"""Functions that import by a name given as text."""


@dataclass(frozen=True)
class Code:
    """All that a module reaches, itself included."""

    modules: Mapping[str, str]
    """Name of a module -> hash of its syntax tree."""
    data: Mapping[str, str]
    """Path of a data file, from the root -> hash of its content."""
    packages: Mapping[str, str]
    """Name of a distribution -> its version, as locked; where another one is installed, both."""

    @property
    def hash(self) -> str:
        """One hash of everything, 32 hexadecimal digits."""
        return _digest(json.dumps(vars(self), sort_keys=True).encode())

    def as_json(self) -> dict[str, Any]:
        """The same as JSON, the hash first."""
        return {"hash": self.hash, **vars(self)}


@dataclass(frozen=True)
class _Source:
    """What one file says of itself."""

    hash: str
    modules: frozenset[str]
    """Modules of ours that it imports, or may import, and the packages they lie in."""
    foreign: frozenset[str]
    """Top-level names of the packages of others that it imports."""
    places: frozenset[str]
    """Modules whose place on disk it asks for, and so may read the data files there."""


def code(module: str, root: Path = ROOT) -> str:
    """Hash of all that `module` reaches: the same hash, the same results from the same inputs.

    Args:
        module: dotted name of a module under `root`; of a package that can be run, its `__main__` is meant.
        root: of the checkout.

    Raises:
        CodeError: see `closure`.
    """
    return closure(module, root).hash


def closure(module: str, root: Path = ROOT) -> Code:
    """All that `module` reaches; the head of this page says what that is.

    Raises:
        CodeError: there is no such module, one imports by a name that only its run would tell, or a distribution is
            imported that the lock does not name.
    """
    start = next((name for name in (f"{module}.__main__", module) if _file(name, root)), None)
    if start is None:
        raise CodeError(f"{root} has no module {module}")
    modules: dict[str, str] = {}
    data: dict[str, str] = {}
    foreign: dict[str, str] = {}
    pending = {start, *_prefixes(start)}
    while pending:
        name = pending.pop()
        file = _file(name, root)
        if name in modules or file is None:
            continue
        source = _read(file, name, root, file.stat().st_mtime_ns)
        modules[name] = source.hash
        for place in filter(None, (_file(place, root) for place in source.places)):
            data |= {path.relative_to(root).as_posix(): _content(path) for path in data_files(place.parent)}
        foreign |= dict.fromkeys(source.foreign, name)
        pending |= source.modules
    lock = root / LOCK
    locked = _locked(lock, lock.stat().st_mtime_ns if lock.is_file() else 0)
    packages = {}
    for top, importer in foreign.items():
        distribution = _normal(top) if _normal(top) in locked else _owner(top)
        if distribution not in locked:
            raise CodeError(
                f"{importer} imports {top}, which {lock} does not name; add its distribution to pyproject.toml and run "
                "`make lock`"
            )
        packages[distribution] = _version(distribution, locked[distribution])
    return Code(*(dict(sorted(part.items())) for part in (modules, data, packages)))


def data_files(folder: Path) -> Iterator[Path]:
    """Files other than Python's in `folder`, and in those below it that hold no module, in order of their paths."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            if not any(path.glob("*.py")):
                yield from data_files(path)
        elif path.suffix != ".py":
            yield path


def _prefixes(name: str) -> list[str]:
    """`a.b.c` -> a, a.b, a.b.c."""
    steps = name.split(".")
    return [".".join(steps[: end + 1]) for end in range(len(steps))]


def _file(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((path for path in (base.with_name(f"{base.name}.py"), base / "__init__.py") if path.is_file()), None)


@cache
def _read(file: Path, name: str, root: Path, modified: int) -> _Source:
    """Parse one file; `modified` makes a later edit another call."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        raise CodeError(f"{file}, line {error.lineno}: {error.msg}") from error
    parent = name if file.name == "__init__.py" else name.rpartition(".")[0]
    names: set[str] = set()
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
            case ast.Constant(value=str(text)) if DOTTED.fullmatch(text) and _file(text, root):
                names.add(text)  # `python -m tasks.some.module`, in a command, runs it too
            case ast.Name(id="__file__"):
                places.add(name)
            case ast.Attribute(attr="__file__"):
                places.add(ast.unparse(node.value))
    ours = {name for name in names if _file(name, root) or any(_file(prefix, root) for prefix in _prefixes(name))}
    modules = {prefix for name in (*ours, name) for prefix in _prefixes(name)}
    foreign = {name.partition(".")[0] for name in names - ours} - sys.stdlib_module_names
    return _Source(_digest(_canonical(tree).encode()), frozenset(modules), frozenset(foreign), frozenset(places))


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


def _content(path: Path) -> str:
    """Hash of what a data file says: of TOML and JSON the values, of Jinja's templates all but their comments."""
    content = path.read_bytes()
    parsers: dict[str, Any] = {".toml": tomllib.loads, ".json": json.loads}
    if parse := parsers.get(path.suffix):
        try:
            content = json.dumps(parse(content.decode()), sort_keys=True, default=str).encode()
        except ValueError as error:
            raise CodeError(f"{path} cannot be read: {error}") from error
    elif path.suffix == ".j2":
        content = JINJA_COMMENT.sub(b"", content)
    return _digest(content)


@cache
def _version(name: str, locked: str) -> str:
    try:
        installed = metadata.version(name).partition("+")[0]  # +cpu and +cu130 are builds of one version
    except metadata.PackageNotFoundError:
        installed = "nothing"
    return locked if installed == locked else f"{locked}, but {installed} is installed"


@cache
def _locked(lock: Path, modified: int) -> dict[str, str]:
    """Versions by normalised name; none where there is no lock."""
    lines = lock.read_text().splitlines() if modified else []
    pins = (line.partition(";")[0].strip().partition("==") for line in lines)
    return {_normal(name.partition("[")[0]): version.partition("+")[0] for name, equals, version in pins if equals}


@cache
def _owner(top: str) -> str:
    """Normalised name of the installed distribution that brings a package under another name (yaml: pyyaml)."""
    for found in metadata.distributions():
        record = found.read_text("RECORD") or ""
        if record.startswith(f"{top}/__init__.py,") or f"\n{top}/__init__.py," in record or f"\n{top}.py," in record:
            return _normal(found.name)
    return ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
