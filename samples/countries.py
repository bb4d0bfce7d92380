"""Makes tasks/earth/countries.parquet: `python -m samples.countries FILE`.

FILE is `countries-50m.json` of the npm package world-atlas 2.0.2: borders of Natural Earth 4.1 at 1:50 million, which
are in the public domain. Names that it cuts short are written out, and what is no country is left out.
"""

import sys
from pathlib import Path

import geopandas
import pyarrow as pa
import shapely

from tasks.core import tables
from tasks.earth.countries import TABLE

FULL = {
    "Marshall Is.": "Marshall Islands",
    "N. Mariana Is.": "Northern Mariana Islands",
    "U.S. Virgin Is.": "United States Virgin Islands",
    "S. Geo. and the Is.": "South Georgia and the South Sandwich Islands",
    "Br. Indian Ocean Ter.": "British Indian Ocean Territory",
    "Pitcairn Is.": "Pitcairn Islands",
    "Falkland Is.": "Falkland Islands",
    "Cayman Is.": "Cayman Islands",
    "British Virgin Is.": "British Virgin Islands",
    "Turks and Caicos Is.": "Turks and Caicos Islands",
    "S. Sudan": "South Sudan",
    "Solomon Is.": "Solomon Islands",
    "St. Vin. and Gren.": "Saint Vincent and the Grenadines",
    "St. Kitts and Nevis": "Saint Kitts and Nevis",
    "Cook Is.": "Cook Islands",
    "W. Sahara": "Western Sahara",
    "St. Pierre and Miquelon": "Saint Pierre and Miquelon",
    "Wallis and Futuna Is.": "Wallis and Futuna",
    "Fr. Polynesia": "French Polynesia",
    "Fr. S. Antarctic Lands": "French Southern and Antarctic Lands",
    "Eq. Guinea": "Equatorial Guinea",
    "Dominican Rep.": "Dominican Republic",
    "Faeroe Is.": "Faroe Islands",
    "N. Cyprus": "Northern Cyprus",
    "Dem. Rep. Congo": "Democratic Republic of the Congo",
    "Central African Rep.": "Central African Republic",
    "Bosnia and Herz.": "Bosnia and Herzegovina",
    "Indian Ocean Ter.": "Indian Ocean Territories",
    "Heard I. and McDonald Is.": "Heard Island and McDonald Islands",
    "Ashmore and Cartier Is.": "Ashmore and Cartier Islands",
    "Antigua and Barb.": "Antigua and Barbuda",
}
NO_COUNTRY = ("Siachen Glacier",)
TOLERANCE = 0.01
"""Degrees that a border may move: a kilometre, far less than the distance at which it is believed."""


def main(path: Path) -> None:
    """Write the table."""
    frame = geopandas.read_file(path, layer="countries")
    frame = frame[~frame["name"].isin(NO_COUNTRY)].sort_values("name")
    shapes = shapely.set_precision(
        shapely.simplify(shapely.make_valid(frame.geometry.to_numpy()), TOLERANCE), TOLERANCE / 10
    )
    schema = pa.schema([("name", pa.string()), ("geometry", pa.binary())])
    names = [FULL.get(name, name) for name in frame["name"]]
    cut = [name for name in names if "." in name]
    if cut:
        sys.exit(f"names that are cut short: {cut}")
    rows = [{"name": n, "geometry": shapely.to_wkb(s)} for n, s in zip(names, shapes, strict=True)]
    tables.write_rows(rows, schema, TABLE, geometry="geometry")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
