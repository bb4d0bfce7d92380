"""One Python file of the network and its processor, for those who load a checkpoint without this repository.

Made from the modules of `models` themselves, one after the other, their imports of each other left out. One file, and
no relative imports: versions of transformers have copied only a part of several files (its pull request 46022), or
looked for them in the wrong folder of the hub's cache (its issue 46617).
"""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import models
from tasks.core.errors import WeightsError

ROOTS = tuple(f"models.earthdial.{name}" for name in ("config", "model", "image_processor", "processor"))
FILE = "modeling_earthdial.py"
PACKAGE = f"{models.__name__}."
SOURCES = Path(models.__file__).parents[1]
HEADER = '''# SPDX-License-Identifier: Apache-2.0
"""EarthDial with any number of bands: the network and its processor, for `trust_remote_code=True` of transformers.

Made by Earthloom from its own modules, and changed there, not here:
{modules}
"""
'''


def remote_code(roots: tuple[str, ...] = ROOTS) -> str:
    """The text of the file.

    Raises:
        WeightsError: the modules cannot be put into one: they import modules of each other as a whole, or give one name
            to two things.
    """
    modules = list(dict.fromkeys(name for root in roots for name in _with_imports(root, ())))
    imports: dict[str, set[str]] = {}
    whole: set[str] = set()
    bodies: list[str] = []
    known: dict[str, str] = {}
    for module in modules:
        source = _path(module).read_text(encoding="utf-8")
        tree = ast.parse(source)
        lines = source.splitlines()
        begins = tree.body[1].lineno if ast.get_docstring(tree) else 1
        left_out: set[int] = set(range(1, begins))
        for node in tree.body:
            span = range(min([node.lineno, *(one.lineno for one in _decorators(node))]), (node.end_lineno or 0) + 1)
            if isinstance(node, ast.ImportFrom):
                left_out.update(span)
                if not (node.module or "").startswith(PACKAGE):
                    imports.setdefault(str(node.module), set()).update(map(_alias, node.names))
            elif isinstance(node, ast.Import):
                left_out.update(span)
                whole.update(map(_alias, node.names))
            elif _registers(node):
                # There the class is found by `auto_map`, and the next checkpoint may bring another of the same name.
                left_out.update(span)
            else:
                for name in _names(node):
                    meant = ast.dump(node)
                    if known.setdefault(name, meant) != meant:
                        raise WeightsError(f"{module} and a module before it both call something {name}; rename one")
        text = "\n".join(line for number, line in enumerate(lines, start=1) if number not in left_out)
        bodies.append(f"# {module.replace('.', '/')}.py\n\n{text.strip()}\n")
    named = textwrap.fill(", ".join(modules), 120, break_long_words=False)
    heads = [f"import {name}" for name in sorted(whole)]
    for module, names in sorted(imports.items()):
        listed = "".join(f"    {name},\n" for name in sorted(names))
        heads.append(f"from {module} import (\n{listed})")
    return "\n\n".join([HEADER.format(modules=named) + "\n" + "\n".join(heads) + "\n", *bodies])


def _with_imports(module: str, above: tuple[str, ...]) -> Iterator[str]:
    """A module after all that it imports of `models`."""
    if module in above:
        raise WeightsError(f"{module} imports itself through {' and '.join(above)}")
    for node in ast.parse(_path(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            if not _path(str(node.module)).is_file() or any(name.asname for name in node.names):
                raise WeightsError(f"{module}: import names from a module of {PACKAGE[:-1]}, and as they are called")
            yield from _with_imports(str(node.module), (*above, module))
    yield module


def _path(module: str) -> Path:
    return SOURCES / f"{module.replace('.', '/')}.py"


def _alias(name: ast.alias) -> str:
    return f"{name.name} as {name.asname}" if name.asname else name.name


def _decorators(node: ast.stmt) -> list[ast.expr]:
    return list(getattr(node, "decorator_list", []))


def _registers(node: ast.stmt) -> bool:
    """Whether a statement makes a class known to transformers, such as `AutoModel.register(...)`."""
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "register"


def _names(node: ast.stmt) -> list[str]:
    """What a statement at the top of a module gives a name to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
