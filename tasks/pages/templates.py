"""How pages are filled in: everything escaped, and a name that is not given is an error."""

import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.pages.report_text import count


def environment(folder: Path, **filters: Callable[..., str]) -> Environment:
    """The templates of one folder, with the filters `count` and `slug` and those given."""
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(count=count, slug=lambda text: re.sub(r"\W+", "-", text), **filters)
    return made
