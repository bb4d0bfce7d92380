"""Small pictures of scenes, as their catalogs offer them, for the report's maps. A scene without one is no worse."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
from PIL import Image
from pyproj import CRS
from pyproj.exceptions import CRSError

from tasks.core.errors import CatalogError, SceneError
from tasks.core.stage import atomic, write_json
from tasks.earth import stores
from tasks.earth.catalog import Catalog
from tasks.earth.conditions import item_boxes
from tasks.earth.http import AnswerError
from tasks.earth.stores import store_of

LARGEST = 4_000_000
"""Bytes; a larger preview is left where it is."""
MOST_PIXELS = 16_000_000
SIDE = 512
"""Pixels of the longer side, as kept."""
ROLES = ("thumbnail", "overview")
KEYS = ("thumbnail", "rendered_preview", "preview", "quicklook", "browse", "reduced_resolution_browse")
FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class Previews:
    """How many there are, and how many could not be had or placed."""

    kept: int
    skipped: int


def save_previews(catalog: Catalog, scenes: Sequence[pystac.Item], folder: Path) -> Previews:
    """Fetch the scenes' previews into `folder`/thumbnails, with `thumbnails.json` beside saying where each lies.

    Kept as PNG whatever the catalog offers. One that is missing, lies elsewhere, is too large, is no picture or cannot
    be placed is counted, and no more.
    """
    places: dict[str, dict[str, Any]] = {}
    skipped = 0
    (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
    for item in scenes:
        found = _asset(item)
        if found is None:
            continue
        place = _place(item, found)
        try:
            picture = _picture(_content(catalog, item, found)) if place else None
        except (AnswerError, CatalogError, SceneError, OSError, ValueError, Image.DecompressionBombError):
            picture = None
        if picture is None or place is None or item.id in places:
            skipped += 1
            continue
        with atomic(folder / "thumbnails" / f"{item.id}.png") as partial:
            picture.save(partial, format="PNG")
        places[item.id] = place
    write_json(folder / "thumbnails.json", places)
    return Previews(len(places), skipped)


def _asset(item: pystac.Item) -> pystac.Asset | None:
    """The picture that shows the scene best at this size: what is called a thumbnail, or else what serves as one."""
    pictures = {
        key: asset
        for key, asset in item.assets.items()
        if str(asset.media_type or "").partition(";")[0] in ("image/png", "image/jpeg", "image/jpg", "image/webp")
    }
    named = [pictures[key] for key in KEYS if key in pictures]
    by_role = [asset for role in ROLES for asset in pictures.values() if role in (asset.roles or [])]
    return next(iter([*named, *by_role]), None)


def _place(item: pystac.Item, asset: pystac.Asset) -> dict[str, Any] | None:
    """Bounds and CRS of a preview: of the raster that it shows, or the scene's box in degrees; None: not north-up."""
    if item.properties.get("sar:product_type") == "GRD" and _epsg(_code(item.properties)) in (None, 4326):
        return None  # drawn as the radar saw it, along its track
    for source in (asset.extra_fields, item.properties, *(other.extra_fields for other in item.assets.values())):
        code = source.get("proj:code") or source.get("proj:epsg") or _code(item.properties)
        box = source.get("proj:bbox") or _from_transform(source)
        epsg = _epsg(code)
        if box and epsg and len(box) == 4 and box[0] < box[2] and box[1] < box[3]:
            return {"bounds": [float(value) for value in box], "crs": f"EPSG:{epsg}"}
    boxes = item_boxes(item)
    if len(boxes) != 1 or boxes[0][0] >= boxes[0][2] or boxes[0][1] >= boxes[0][3]:
        return None  # a picture that crosses 180 degrees has no place on a map that ends there
    return {"bounds": list(boxes[0]), "crs": "EPSG:4326"}


def _code(properties: dict[str, Any]) -> Any:
    return properties.get("proj:code") or properties.get("proj:epsg")


def _from_transform(source: dict[str, Any]) -> list[float] | None:
    shape, transform = source.get("proj:shape"), source.get("proj:transform")
    if not isinstance(shape, list) or not isinstance(transform, list) or len(shape) != 2 or len(transform) < 6:
        return None
    if transform[1] or transform[3]:
        return None
    left, top = transform[2], transform[5]
    right, bottom = left + transform[0] * shape[1], top + transform[4] * shape[0]
    return [min(left, right), min(bottom, top), max(left, right), max(bottom, top)]


def _epsg(code: Any) -> int | None:
    try:
        epsg = CRS.from_user_input(code).to_epsg() if code else None
    except (CRSError, TypeError, ValueError):
        return None
    return int(epsg) if epsg else None


def _content(catalog: Catalog, item: pystac.Item, asset: pystac.Asset) -> bytes:
    address = catalog.address(asset.href)
    if address.startswith("s3://"):
        params = catalog.params
        store = store_of(item, asset, params.s3_endpoint, params.s3_requester_pays)
        return stores.content(store, address, LARGEST)
    if address.startswith("http"):
        return catalog.http().content(address, largest=LARGEST, server_errors=2)
    if Path(address).stat().st_size > LARGEST:
        raise ValueError("too large")
    return Path(address).read_bytes()


def _picture(content: bytes) -> Image.Image | None:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            return None
        picture = image.convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    return picture
