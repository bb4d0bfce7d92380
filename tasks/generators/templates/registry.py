"""All kinds of questions that templates ask, by name. A new kind is a line here and a file beside this one."""

from tasks.generators.templates import (
    abstention,
    amounts,
    captions,
    changes,
    cover,
    dialogues,
    metadata,
    pixels,
    places,
    presence,
)
from tasks.generators.templates.kind import Kind

FAMILIES = (presence, cover, amounts, places, changes, metadata, pixels, captions, dialogues)
KINDS: dict[str, Kind] = {kind.name: kind for family in FAMILIES for kind in family.KINDS}
"""Those that `qa.kinds` can name. Abstention has a quota of its own."""
ABSTENTION = abstention.KINDS[0]
