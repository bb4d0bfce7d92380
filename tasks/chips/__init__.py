"""Stage `chips`: pixels of the selected windows, all bands, calibrated, as GeoTIFF bytes in GeoParquet shards."""
