"""What a chip is on disk: one row of a GeoParquet shard, its pixels the bytes of one GeoTIFF.

The GeoTIFF holds numbers as the scene's files do, each band with its scale and offset, bands of one GSD and type in one
directory, the finest first (`tasks.earth.layers`). It is compressed in itself (ZSTD, predictor), so that Parquet takes
it as it is, and one band is read without the others. Each band carries a checksum, which `tasks.earth.geotiff` checks
wherever it is decoded.
"""

import pyarrow as pa

from tasks.core.tables import PACKED

GROUP = 8
"""Chips of a row group: what is read to have one of them."""

SCHEMA = pa.schema(
    [
        ("chip_id", pa.string()),  # <window_id>_<item_id>
        ("window_id", pa.string()),  # cell of the global grid, the same whatever area was asked for
        ("item_id", pa.string()),
        ("collection", pa.string()),
        ("sensor", pa.string()),
        ("platform", pa.string()),
        ("processing_baseline", pa.string()),
        ("datetime", pa.timestamp("us", tz="UTC")),
        ("acquisition", pa.string()),  # the overpass, the same in every tile and baseline
        ("crs", pa.string()),  # "EPSG:32618"
        ("transform", pa.list_(pa.float64(), 6)),  # affine a, b, c, d, e, f
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bands", pa.list_(pa.string())),  # order of the GeoTIFF's bands; optional bands may be absent
        ("wavelengths", pa.list_(pa.float64())),  # micrometres, of bands that no table lists: hyperspectral; else null
        ("unit", pa.string()),  # reflectance or dB; thermal bands are in kelvin
        ("radiometry", pa.string()),  # what was decided of the offset in the scene's numbers, and by what
        ("nodata_fraction", pa.float64()),
        ("cloud_fraction", pa.float64()),  # fractions are of the window's valid pixels; null: not measurable
        ("shadow_fraction", pa.float64()),
        ("cirrus_fraction", pa.float64()),
        ("snow_fraction", pa.float64()),
        ("water_fraction", pa.float64()),
        ("land_fraction", pa.float64()),
        ("mask_provenance", pa.string()),
        ("geometry", pa.binary()),  # WKB polygon, lon/lat
        # GeoTIFF: numbers, scales, offsets, nodata; band descriptions are the band names
        pa.field("pixels", pa.binary(), metadata=PACKED),
    ]
)
