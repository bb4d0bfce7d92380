"""What an item must be to be worked with. One that is not costs itself: a SceneError, and so a row."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import pystac
import shapely
import shapely.geometry

from tasks.core.errors import SceneError
from tasks.earth.conditions import boxes_of, instant
from tasks.earth.sample_catalog import SCHEME
from tasks.earth.stac_api import Unreadable
from tasks.earth.static_catalog import FOLDER

RECORDED = (SCHEME, FOLDER)
"""What hrefs begin with once they are recorded as files of this machine; no catalog may write them itself."""
LONGEST_ID = 200
"""Characters; a name of a file made from it, and some more beside it, must fit into 255 bytes."""


def checked(item: Any, collection: str) -> dict[str, Any]:
    """An item as JSON, found to be whole.

    Raises:
        SceneError: what is wrong, by the name of its field.
    """
    if isinstance(item, Unreadable):
        raise SceneError("unreadable", str(item))
    if not isinstance(item, dict):
        raise SceneError("invalid-item", f"an entry of '{collection}' is no item but {type(item).__name__}")
    _check_id(item.get("id"))
    where = f"item {item['id']}"
    if not isinstance(item.get("collection"), str):
        raise SceneError("invalid-item", f"{where} names no collection")
    if not isinstance(item.get("properties"), dict):
        raise SceneError("invalid-item", f"{where} has no properties")
    _check_time(item["properties"], where)
    _check_place(item, where)
    for name in ("eo:cloud_cover", "gsd"):
        _check_number(item["properties"].get(name), f"{where}: '{name}'")
    cloud = item["properties"].get("eo:cloud_cover")
    if cloud is not None and cloud > 100:
        raise SceneError("invalid-item", f"{where}: 'eo:cloud_cover' is {cloud}, more than 100 %")
    _check_assets(item.get("assets"), where)
    try:
        pystac.Item.from_dict(item, migrate=False)
    except Exception as error:  # pystac raises what its extensions raise
        raise SceneError("invalid-item", f"{where} is not STAC: {type(error).__name__}: {error}") from error
    return item


def shown_id(item: Any) -> str:
    """An item's id for a table: as it is, or so that no character of it can do harm, shortened by a hash of it."""
    name = item.get("id") if isinstance(item, Mapping) else None
    if not isinstance(name, str):
        return ""
    safe = name.encode("unicode_escape").decode("ascii")
    if len(safe) <= LONGEST_ID:
        return safe
    return f"{safe[:60]}...{hashlib.blake2b(safe.encode(), digest_size=8).hexdigest()}"


def _check_id(name: Any) -> None:
    shown = shown_id({"id": name})
    if not isinstance(name, str) or not name.strip():
        raise SceneError("invalid-id", f"an item's id is {name!r:.60}, not a text")
    if len(name) > LONGEST_ID:
        raise SceneError("invalid-id", f"the id {shown} has {len(name)} characters, more than {LONGEST_ID}")
    if not name.isprintable() or any(letter in name for letter in "/\\") or name.startswith("."):
        raise SceneError("invalid-id", f"the id '{shown}' holds a slash, begins with a dot, or cannot be printed")


def _check_time(properties: Mapping[str, Any], where: str) -> None:
    given = {name: properties.get(name) for name in ("datetime", "start_datetime", "end_datetime")}
    if not any(given.values()):
        raise SceneError("invalid-item", f"{where} has neither 'datetime' nor 'start_datetime' and 'end_datetime'")
    for name, text in given.items():
        try:
            if text is not None:
                instant(text)
        except (TypeError, ValueError) as error:
            raise SceneError("invalid-item", f"{where}: '{name}' is {text!r:.60}, not a time: {error}") from error


def _check_place(item: Mapping[str, Any], where: str) -> None:
    try:
        shape = shapely.geometry.shape(item["geometry"])
        whole = not shape.is_empty and bool(math.isfinite(shape.area))
        whole = whole and -90 <= shape.bounds[1] <= shape.bounds[3] <= 90 and shape.bounds[0] >= -360
        whole = whole and shape.bounds[2] <= 540
    except Exception:  # shapely raises what a wrong nesting of lists leads it to
        whole = False
    if not whole:
        raise SceneError("no-geometry", f"{where} has no geometry in degrees")
    box = item.get("bbox")
    if box is None:
        return
    numbers = isinstance(box, list | tuple) and len(box) in (4, 6) and all(_is_number(value) for value in box)
    if not numbers or not all(-90 <= south <= north <= 90 for _, south, _, north in boxes_of(item)):
        raise SceneError("invalid-item", f"{where}: 'bbox' is {str(box)[:80]}, not four or six numbers in degrees")


def _check_assets(assets: Any, where: str) -> None:
    if not isinstance(assets, dict) or not assets:
        raise SceneError("invalid-item", f"{where} has no assets")
    for key, asset in assets.items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str) or not asset["href"]:
            raise SceneError("invalid-item", f"{where}, asset {key} has no href")
        if asset["href"].startswith(RECORDED):
            raise SceneError("foreign-host", f"{where}, asset {key}: '{asset['href'][:60]}' is no address")
        for field in ("raster:bands", "bands", "eo:bands"):
            bands = asset.get(field) or []
            if not isinstance(bands, list) or not all(isinstance(band, dict) for band in bands):
                raise SceneError("invalid-item", f"{where}, asset {key}: '{field}' is no list of bands")
        for band in [asset, *(asset.get("raster:bands") or []), *(asset.get("bands") or [])]:
            for name in ("scale", "offset", "raster:scale", "raster:offset"):
                _check_number(band.get(name), f"{where}, asset {key}: '{name}'")


def _check_number(value: Any, what: str) -> None:
    if value is not None and not _is_number(value):
        raise SceneError("invalid-item", f"{what} is {value!r:.60}, not a number")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
