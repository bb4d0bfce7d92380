"""What the servers said of every asset when the list of scenes was frozen, so that one changed since is noticed.

A catalog may put other pixels behind the same address. A dataset built half from the one and half from the other would
say nothing of it.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pystac

from tasks.core.errors import SceneError
from tasks.core.stage import read_json, write_json
from tasks.earth import sample_catalog
from tasks.earth.assets import Asset, find_mask, find_named, resolve
from tasks.earth.catalog import Catalog
from tasks.earth.label_params import SourceParams
from tasks.earth.sensors import Sensor
from tasks.earth.stores import Store

logger = logging.getLogger(__name__)
AT_ONCE = 8
"""Scenes that are asked about side by side: the answers are small and far away."""
FILE = "versions.json"


def assets_read(item: pystac.Item, sensor: Sensor, described: Mapping[str, Any] | None) -> list[Asset]:
    """Every asset that results of a scene may be made from: its mask, its bands, and the annotation beside them."""
    bands = resolve(item, sensor, described).values()
    beside = {href: band for band in bands for href in band.annotation or () if href is not None}
    found = [find_mask(item, sensor, described), *bands, *(replace(band, href=href) for href, band in beside.items())]
    return list({asset.href: asset for asset in found if asset is not None}.values())


def label_assets(item: pystac.Item, source: SourceParams) -> list[Asset]:
    """Every asset of a label item that its source reads."""
    keys = list(source.rasters) if source.kind == "raster" else [source.asset or ""]
    return [asset for key in keys if (asset := find_named(item, key)) is not None]


def freeze_versions(
    catalog: Catalog,
    items: Sequence[pystac.Item],
    collections: Mapping[str, Any],
    sensor: Sensor,
    folder: Path,
    labels: Sequence[tuple[pystac.Item, SourceParams]] = (),
) -> int:
    """Ask for the version of every asset that the dataset is made from, and write {href: version} beside the items.

    A server that says nothing of a scene's first asset is not asked for its others: then a change stays unseen. The
    embedded catalog and folders are not asked at all, for what they could say is of this checkout alone.

    Returns:
        How many assets have a known version.
    """

    def versions_of(assets: Sequence[Asset], again: bool = False) -> dict[str, str]:
        known = {}
        for asset in assets:
            version = catalog.version(asset.href, catalog.store(asset), again)
            if version is None:
                break
            known[asset.href] = version
        return known

    def unknown(scenes: Sequence[Sequence[Asset]]) -> list[Sequence[Asset]]:
        return [assets for assets in scenes if any(asset.href not in known for asset in assets)]

    def asked() -> Iterator[list[Asset]]:
        for item in items:
            yield assets_read(item, sensor, catalog.described(collections, item.collection_id))
        for item, source in labels:
            yield label_assets(item, source)

    known: dict[str, str] = {}
    if catalog.remote:
        scenes = list(asked())
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for found in pool.map(versions_of, scenes):
                known |= found
            # A server that was busy says it the second time; one that says nothing is not asked for more than this.
            for found in pool.map(lambda assets: versions_of(assets, again=True), unknown(scenes)):
                known |= found
        if left := unknown(scenes):
            logger.warning(
                "of %d of %d scenes and label items a server does not say which version their files are, the first %s: "
                "a change of theirs will not be noticed, and what is made of them is made again each time",
                len(left),
                len(scenes),
                left[0][0].item_id,
            )
    write_json(folder / FILE, known)
    return len(known)


def read_versions(folder: Path) -> dict[str, str]:
    """{href: version} as `freeze_versions` wrote it; empty where it wrote none."""
    path = folder / FILE
    return dict(read_json(path)) if path.is_file() else {}


def vouched(catalog: Catalog, href: str, store: Store) -> str | None:
    """The version of an asset that results may be kept under; None where nobody vouches for one.

    Of a server's file what it said when the list was frozen: the read itself holds the file against it. Of the embedded
    catalog the hash of the content, the same in every checkout; of a folder what the file system says.
    """
    if href in catalog.frozen:
        return catalog.frozen[href]
    if catalog.remote:
        return None
    if href.startswith(sample_catalog.SCHEME):
        root = Path(catalog.params.url.removeprefix(sample_catalog.SCHEME))
        try:
            file = root / href.removeprefix(sample_catalog.SCHEME)
            return _hash(file, file.stat().st_mtime_ns)
        except OSError:
            return None
    try:
        return catalog.version(href, store)
    except SceneError:
        return None


@cache
def _hash(file: Path, modified: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").hexdigest()[:32]
