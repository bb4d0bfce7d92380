"""Addresses of resources."""

from collections.abc import Sequence

from tasks.earth.composites import Composite

SCHEME = "earthloom://"


def picture_uri(image: str, composite: str) -> str:
    """Where a picture of an image is read."""
    return f"{SCHEME}images/{image}/{composite.replace(' ', '-')}.png"


def picture_uris(image: str, composites: Sequence[Composite]) -> list[str]:
    """Those worth a look: in colour where there are any. The others can be read too."""
    coloured = [one for one in composites if len(one.planes) > 1]
    return [picture_uri(image, one.name) for one in coloured or composites]
