"""One answer to "what made this?": the code that a module reaches, as one hash.

A module reaches the modules it imports, wherever in its lines it imports them, and what those import in turn; the
data files that lie beside a module which asks for its own place (`__file__`, `importlib.resources`); and the locked
version of every distribution imported on the way. Stages, resumes and caches all ask here, so that nothing made by
other code is ever used as if it were made by this one.

Comments, docstrings and blank lines are not part of it: modules are hashed by their syntax tree, see
`tasks.core.syntax`. Only the standard library is imported here, and no module is ever run.
"""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.core.errors import CodeError
from tasks.core.syntax import Sources, prefixes

ROOT = Path(__file__).resolve().parents[2]
"""Of the checkout: what lies under it is ours, and `requirements.lock` says which versions of the rest."""
LOCK = "requirements.lock"
JINJA_COMMENT = re.compile(rb"\{#.*?#\}", re.DOTALL)


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


def code(module: str, root: Path = ROOT) -> str:
    """Hash of all that `module` reaches: the same hash, the same results from the same inputs.

    Args:
        module: dotted name of a module under `root`; of a package that can be run, its `__main__` is meant.
        root: of the checkout.

    Raises:
        CodeError: see `closures`.
    """
    return closure(module, root).hash


def closure(module: str, root: Path = ROOT) -> Code:
    """All that `module` reaches; the head of this page says what that is. Errors: see `closures`."""
    return closures([module], root)[module]


def closures(modules: Iterable[str], root: Path = ROOT) -> dict[str, Code]:
    """What each of several modules reaches; every file is read once.

    Raises:
        CodeError: there is no such module, one imports by a name that only its run would tell, or a distribution is
            imported that the lock does not name.
    """
    checkout = _Checkout(root)
    found = {module: checkout.closure(module) for module in modules}
    checkout.sources.keep()
    return found


@dataclass(frozen=True)
class _Needs:
    """What one module needs."""

    hash: str
    modules: frozenset[str]
    """Modules of ours that it imports, or may import, and the packages they lie in."""
    foreign: frozenset[str]
    """Top-level names of the packages of others that it imports."""
    data: Mapping[str, str]
    """Path of a data file that it may read -> hash of its content."""


class _Checkout:
    """The files under a root, as they are now."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sources = Sources(root / ".earthloom" if (root / LOCK).is_file() else None)
        self.file = cache(self._file)
        self.content = cache(_content)
        self.needs = cache(self._read)
        self.locked = _locked(root / LOCK)

    def closure(self, module: str) -> Code:
        """All that a module reaches."""
        start = next((name for name in (f"{module}.__main__", module) if self.file(name)), None)
        if start is None:
            raise CodeError(f"{self.root} has no module {module}")
        modules: dict[str, str] = {}
        data: dict[str, str] = {}
        foreign: dict[str, str] = {}
        pending = set(prefixes(start))
        while pending:
            name = pending.pop()
            if name in modules or self.file(name) is None:
                continue
            needs = self.needs(name)
            modules[name] = needs.hash
            data |= needs.data
            foreign |= dict.fromkeys(needs.foreign, name)
            pending |= needs.modules
        packages = dict(self._version(top, importer) for top, importer in foreign.items())
        return Code(*(dict(sorted(part.items())) for part in (modules, data, packages)))

    def _file(self, module: str) -> Path | None:
        base = self.root.joinpath(*module.split("."))
        return next(
            (path for path in (base.with_name(f"{base.name}.py"), base / "__init__.py") if path.is_file()), None
        )

    def _read(self, name: str) -> _Needs:
        file = self.file(name)
        assert file is not None
        source = self.sources.read(file, name)
        names = source.imports | {text for text in source.texts if self.file(text)}
        ours = {name for name in names if any(self.file(prefix) for prefix in prefixes(name))}
        folders = {place.parent for place in map(self.file, source.places) if place}
        return _Needs(
            hash=source.hash,
            modules=frozenset(prefix for one in (*ours, name) for prefix in prefixes(one)),
            foreign=frozenset({name.partition(".")[0] for name in names - ours} - sys.stdlib_module_names),
            data={
                path.relative_to(self.root).as_posix(): self.content(path)
                for folder in folders
                for path in data_files(folder)
            },
        )

    def _version(self, top: str, importer: str) -> tuple[str, str]:
        """The distribution that brings a package, and its version."""
        distribution = _normal(top) if _normal(top) in self.locked else _owner(top)
        if distribution not in self.locked:
            raise CodeError(
                f"{importer} imports {top}, which {self.root / LOCK} does not name; add its distribution to "
                "pyproject.toml and run `make lock`"
            )
        return distribution, _stated(distribution, self.locked[distribution])


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
def _stated(name: str, locked: str) -> str:
    try:
        installed = metadata.version(name).partition("+")[0]  # +cpu and +cu130 are builds of one version
    except metadata.PackageNotFoundError:
        installed = "nothing"
    return locked if installed == locked else f"{locked}, but {installed} is installed"


def _locked(lock: Path) -> dict[str, str]:
    """Versions by normalised name; none where there is no lock."""
    lines = lock.read_text().splitlines() if lock.is_file() else []
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
