"""Sentinel Hub as a source of scenes and of pixels, through the `sentinelhub` package.

- `collections.toml`: what the service calls its collections and bands, and how their numbers travel.
- `evalscript.js`: the one script that runs on the service, for every collection; `collections` writes its constants.
- `account`: credentials of the environment, the client with its limits, and what a refusal means.
- `search`: the Catalog API as STAC items with one asset a band.
- `pixels`: the Process API as numbers on a grid.
"""

CLIENT_ID, CLIENT_SECRET = "SH_CLIENT_ID", "SH_CLIENT_SECRET"
"""Variables of the environment that hold the credentials."""
SOURCE = "sentinel-hub"
"""`source` of a preset under `catalogs:` in params.yaml that is taken from here."""
SCHEME = "sentinelhub:"
"""Of hrefs, `sentinelhub:<collection>#<band>`: there is no file behind, the pixels are computed when asked for."""
