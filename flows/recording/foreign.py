"""Entries of dvc.lock that come from another host: read with care, compared with what was asked for."""

import re
from collections.abc import Mapping
from typing import Any

from flows.recording import dvc_internals as dvc
from tasks.core.errors import FlowError
from tasks.core.yaml_text import check_yaml

MAX_BYTES = 1_000_000
"""Of an entry; the largest here are some 10 kB, of the stages that depend on all parameters."""
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
KEYS = ("cmd", "deps", "params", "outs")


def parse(address: str, text: str) -> Mapping[str, Any]:
    """An entry as values: `{cmd, deps, params, outs}`.

    Raises:
        FlowError: it is none; says why.
    """
    name = f"the entry of {address}"
    check_yaml(text, name, MAX_BYTES, FlowError)
    values = dvc.from_text(text, name)
    if not isinstance(values, dict) or not set(values) <= set(KEYS) or not isinstance(values.get("cmd"), str):
        raise FlowError(f"{name} must have {', '.join(KEYS)}, and no more")
    for kind in ("deps", "outs"):
        for item in values.get(kind, []):
            if not (isinstance(item, dict) and isinstance(item.get("path"), str)):
                raise FlowError(f"{name}: '{kind}' must be a list of paths with their hashes")
            if not HASH.fullmatch(str(item.get("md5", ""))):
                raise FlowError(f"{name}: {item['path']} has no hash: md5 must be 32 hexadecimal digits")
    return values


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """In what an entry is not of the command, dependencies, parameters and outputs asked for, in words."""
    found = []
    if mine["cmd"] != theirs["cmd"]:
        found.append(f"its command is '{theirs['cmd']}', not '{mine['cmd']}'")
    asked, used = ({item["path"]: item["md5"] for item in entry.get("deps", [])} for entry in (mine, theirs))
    for path in sorted({*asked, *used}):
        if asked.get(path) != used.get(path):
            found.append(f"{path} was {used.get(path, 'not used')} there, and is {asked.get(path, 'not used')} here")
    for file in sorted({*mine.get("params", {}), *theirs.get("params", {})}):
        here, there = mine.get("params", {}).get(file, {}), theirs.get("params", {}).get(file, {})
        found += [f"parameter {key} of {file} differs" for key in sorted({*here, *there}) if _differs(key, here, there)]
    made, wanted = ({item["path"] for item in entry.get("outs", [])} for entry in (theirs, mine))
    found += [f"output {path} is missing" for path in sorted(wanted - made)]
    found += [f"output {path} was not asked for" for path in sorted(made - wanted)]
    return found


def _differs(key: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    return (key in here) != (key in there) or here[key] != there[key]
