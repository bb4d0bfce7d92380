"""Scenes and ground: sensors, catalogs, pixels with their radiometry and masks, the grid, chips, labels."""
