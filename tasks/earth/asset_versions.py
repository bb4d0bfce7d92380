"""What the servers said of every asset when the list of scenes was frozen, so that one changed since is noticed.

A catalog may put other pixels behind the same address. A dataset built half from the one and half from the other would
say nothing of it.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pystac

from tasks.core.stage import read_json, write_json
from tasks.earth.assets import find_mask, resolve
from tasks.earth.catalog import Catalog
from tasks.earth.sensors import Sensor

AT_ONCE = 8
"""Scenes that are asked about side by side: the answers are small and far away."""
FILE = "versions.json"


def freeze_versions(
    catalog: Catalog, items: Sequence[pystac.Item], collections: Mapping[str, Any], sensor: Sensor, folder: Path
) -> int:
    """Ask for the version of every asset that chips are made from, and write {href: version} beside the items.

    A server that says nothing of a scene's first asset is not asked for its others: then a change stays unseen. The
    embedded catalog and folders are not asked at all, for what they could say is of this checkout alone.

    Returns:
        How many assets have a known version.
    """

    def versions_of(item: pystac.Item) -> dict[str, str]:
        described = catalog.described(collections, item.collection_id)
        assets = [find_mask(item, sensor, described), *resolve(item, sensor, described).values()]
        known = {}
        for asset in filter(None, assets):
            version = catalog.version(asset.href, catalog.store(asset))
            if version is None:
                break
            known[asset.href] = version
        return known

    known: dict[str, str] = {}
    if catalog.remote:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for found in pool.map(versions_of, items):
                known |= found
    write_json(folder / FILE, known)
    return len(known)


def read_versions(folder: Path) -> dict[str, str]:
    """{href: version} as `freeze_versions` wrote it; empty where it wrote none."""
    path = folder / FILE
    return dict(read_json(path)) if path.is_file() else {}
