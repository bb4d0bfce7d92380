"""How large a picture may be, for the commands that say so, without the libraries that read pictures."""

MOST_PIXELS = 150_000_000
"""Of an image by its header, unless something else is said: a whole tile of Sentinel-2 has 121 million. Of what Pillow
opens (PNG, JPEG, WebP, GIF, BMP) never more than its own limit, 178,956,970."""
