"""STAC 1.0.0 items and collections, as Earth Search v1 words them; asset hrefs are relative to samples/."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cog import Raster, write_cog, write_thumbnail
from numpy.typing import NDArray
from pyproj import Transformer

Json = dict[str, Any]

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
FLATGEOBUF = "application/vnd.flatgeobuf"
EXTENSIONS = {
    "classification": "v1.0.0",
    "eo": "v1.1.0",
    "file": "v2.1.0",
    "grid": "v1.1.0",
    "processing": "v1.1.0",
    "projection": "v1.1.0",
    "raster": "v1.1.0",
    "sar": "v1.0.0",
    "sat": "v1.0.0",
}
PREFIXES = {"proj": "projection"}


@dataclass(frozen=True)
class Measure:
    """How stored numbers become physical ones; None where there is nothing to say."""

    nodata: float
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None

    def raster_band(self, pixels: NDArray[np.generic], resolution: float) -> Json:
        """One entry of raster:bands."""
        band: Json = {
            "nodata": int(self.nodata) if float(self.nodata).is_integer() else self.nodata,
            "data_type": pixels.dtype.name,
            "spatial_resolution": resolution,
        }
        known = {"scale": self.scale, "offset": self.offset, "unit": self.unit}
        return band | {name: value for name, value in known.items() if value is not None}


@dataclass
class Scene:
    """One item in the making: writes its assets under `root` and remembers what to say of them."""

    root: Path
    collection: str
    id: str
    assets: dict[str, Json] = field(default_factory=dict)

    def raster(
        self,
        key: str,
        raster: Raster,
        measure: Measure,
        *,
        title: str,
        roles: list[str],
        gsd: float,
        categorical: bool = False,
        **more: Any,
    ) -> None:
        """Write a COG and its asset; `more` are further fields of the asset."""
        path = self._path(f"{key}.tif")
        write_cog(raster, path, nodata=measure.nodata, categorical=categorical)
        self.assets[key] = self._asset(path, COG, title, roles) | {
            "gsd": gsd,
            "proj:shape": list(raster.pixels.shape),
            "proj:transform": transform_list(raster),
            "raster:bands": [measure.raster_band(raster.pixels, gsd)],
            **more,
        }

    def thumbnail(self, channels: list[NDArray[np.floating]], size: int, description: str) -> None:
        """Write the PNG preview and its asset."""
        path = self._path("thumbnail.png")
        shape = write_thumbnail(channels, path, size)
        asset = self._asset(path, "image/png", "Thumbnail", ["thumbnail"])
        self.assets["thumbnail"] = asset | {"description": description, "proj:shape": list(shape)}

    def file(self, key: str, suffix: str, media_type: str, title: str, roles: list[str], **more: Any) -> Path:
        """The path of a file that is already written, made an asset."""
        path = self._path(f"{key}{suffix}")
        self.assets[key] = self._asset(path, media_type, title, roles) | more
        return path

    def path(self, name: str) -> Path:
        """Where an asset of this item goes."""
        return self._path(name)

    def item(self, bounds: tuple[float, float, float, float], epsg: int, when: Json, properties: Json) -> Json:
        """The item; `bounds` in `epsg`, `when` has datetime and, where it is not exact, start and end."""
        ring, bbox = footprint(bounds, epsg)
        body = when | {"proj:epsg": epsg, "proj:bbox": list(bounds)} | properties
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "stac_extensions": extensions(body, self.assets),
            "id": self.id,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": bbox,
            "properties": body,
            "links": [
                {
                    "rel": "collection",
                    "href": f"../../collections/{self.collection}.json",
                    "type": "application/json",
                }
            ],
            "assets": self.assets,
            "collection": self.collection,
        }

    def _path(self, name: str) -> Path:
        path = self.root / "assets" / self.collection / self.id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _asset(self, path: Path, media_type: str, title: str, roles: list[str]) -> Json:
        content = path.read_bytes()
        return {
            "href": path.relative_to(self.root).as_posix(),
            "type": media_type,
            "title": title,
            "roles": roles,
            "file:size": len(content),
            "file:checksum": "1220" + hashlib.sha256(content).hexdigest(),
        }


def grid_properties(raster: Raster) -> Json:
    """proj:shape and proj:transform of the item: those of its finest grid."""
    return {"proj:shape": list(raster.pixels.shape), "proj:transform": transform_list(raster)}


def transform_list(raster: Raster) -> list[float]:
    """The affine's six numbers, whole ones as integers."""
    return [int(value) if float(value).is_integer() else value for value in list(raster.transform)[:6]]


def footprint(bounds: tuple[float, float, float, float], epsg: int) -> tuple[list[list[float]], list[float]]:
    """The ring in lon/lat of a box in `epsg`, counter-clockwise, and its bounding box."""
    west, south, east, north = bounds
    to_lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    corners = [(west, north), (west, south), (east, south), (east, north), (west, north)]
    ring = [[round(value, 7) for value in to_lonlat.transform(x, y)] for x, y in corners]
    longitudes, latitudes = zip(*ring, strict=True)
    return ring, [min(longitudes), min(latitudes), max(longitudes), max(latitudes)]


def extensions(properties: Json, assets: dict[str, Json]) -> list[str]:
    """The schema of every extension whose fields are used."""
    names = set(properties)
    for asset in assets.values():
        names |= set(asset)
    used = {PREFIXES.get(name.split(":")[0], name.split(":")[0]) for name in names if ":" in name}
    return [
        f"https://stac-extensions.github.io/{name}/{EXTENSIONS[name]}/schema.json"
        for name in sorted(used & set(EXTENSIONS))
    ]


def day(date: str) -> Json:
    """A moment of which only the day is known."""
    return {
        "datetime": f"{date}T00:00:00Z",
        "start_datetime": f"{date}T00:00:00Z",
        "end_datetime": f"{date}T23:59:59Z",
        "earthloom:datetime_precision": "day",
    }


def collection(body: Json, items: list[Json]) -> Json:
    """A collection whose extent, summaries and item assets are read off its items."""
    boxes = np.array([item["bbox"] for item in items])
    starts = [item["properties"].get("start_datetime") or item["properties"]["datetime"] for item in items]
    ends = [item["properties"].get("end_datetime") or item["properties"]["datetime"] for item in items]
    bbox = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/item-assets/v1.0.0/schema.json"],
        **{name: value for name, value in body.items() if name != "links"},
        "extent": {
            "spatial": {"bbox": [bbox]},
            "temporal": {"interval": [[min(starts), max(ends)]]},
        },
        "summaries": _summaries(items),
        "item_assets": _item_assets(items),
        "links": body.get("links", []),
    }


def _summaries(items: list[Json]) -> Json:
    summaries: Json = {}
    for name in (
        "platform",
        "constellation",
        "instruments",
        "gsd",
        "processing:level",
        "earthloom:label_kind",
    ):
        values: list[Any] = []
        for item in items:
            value = item["properties"].get(name)
            for entry in value if isinstance(value, list) else [value]:
                if entry is not None and entry not in values:
                    values.append(entry)
        if values:
            summaries[name] = values
    return summaries


def _item_assets(items: list[Json]) -> Json:
    shared = ("type", "title", "roles", "gsd", "eo:bands", "raster:bands")
    return {
        key: {name: asset[name] for name in shared if name in asset}
        for item in reversed(items)
        for key, asset in item["assets"].items()
    }


def write_json(path: Path, body: Json) -> None:
    """Indented, with a final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
