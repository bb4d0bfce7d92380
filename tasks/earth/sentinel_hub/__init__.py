"""Sentinel Hub as a source of scenes and of pixels, through the `sentinelhub` package.

- `collections.toml`: what the service calls its collections and bands, and how their numbers travel.
- `evalscript.js`: the one script that runs on the service, for every collection; `collections` writes its constants.
- `account`: credentials of the environment, the client with its limits, and what a refusal means.
- `search`: the Catalog API as STAC items with one asset a band.
- `pixels`: the Process API as numbers on a grid.
"""
