"""Adaptive tiling: an image of any size and any number of bands as square tiles, and a thumbnail of the whole.

InternVL 1.5's dynamic resolution, which EarthDial keeps (spec, section 1.2): of all grids of at most so many tiles, the
one whose shape is nearest to the image's; the image is stretched onto it and cut row by row. Here it works on tensors,
so that multispectral and radar images are tiled as RGB ones are: the released code shows them as one small square.

Shapes:  C bands, H and W of the image, T tiles, S side of a tile
"""

from functools import cache

import torch
from torch import Tensor, nn


@cache
def grids(max_tiles: int, min_tiles: int = 1) -> tuple[tuple[int, int], ...]:
    """All (columns, rows) of between `min_tiles` and `max_tiles` tiles, those of few tiles first.

    Raises:
        ValueError: the bounds admit no grid.
    """
    if not 1 <= min_tiles <= max_tiles:
        raise ValueError(
            f"between {min_tiles} and {max_tiles} tiles there is no grid; give 1 <= min_tiles <= max_tiles"
        )
    sides = range(1, max_tiles + 1)
    found = [(columns, rows) for columns in sides for rows in sides if min_tiles <= columns * rows <= max_tiles]
    return tuple(sorted(found, key=lambda grid: grid[0] * grid[1]))


@cache
def choose_grid(width: int, height: int, size: int, max_tiles: int, min_tiles: int = 1) -> tuple[int, int]:
    """The (columns, rows) nearest in shape to an image; of equally near ones the larger, if the image fills half of it.

    Args:
        width, height: of the image in pixels.
        size: side of a tile.
        max_tiles: most tiles of the grid, without the thumbnail.
        min_tiles: fewest.

    Raises:
        ValueError: the image has no pixel, or the bounds admit no grid.
    """
    if width < 1 or height < 1:
        raise ValueError(f"an image of {width} x {height} pixels cannot be tiled")
    shape = width / height
    best, nearest = (1, 1), float("inf")
    for columns, rows in grids(max_tiles, min_tiles):
        distance = abs(shape - columns / rows)
        fills = width * height > 0.5 * size * size * columns * rows
        if distance < nearest or (distance == nearest and fills):
            best, nearest = (columns, rows), distance
    return best


def count_tiles(width: int, height: int, size: int, max_tiles: int, min_tiles: int = 1, thumbnail: bool = True) -> int:
    """Tiles that `cut_tiles` makes of an image, the thumbnail included: known without a pixel."""
    columns, rows = choose_grid(width, height, size, max_tiles, min_tiles)
    tiles = columns * rows
    return tiles + (thumbnail and tiles > 1)


def cut_tiles(image: Tensor, size: int, max_tiles: int, min_tiles: int = 1, thumbnail: bool = True) -> Tensor:
    """(..., H, W) -> (T, ..., S, S): the tiles row by row, then the thumbnail if there are several.

    Bicubic as in the reference, with antialiasing, as its image library does it: shrinking without it folds fine
    texture (fields, waves) into patterns that are not there. Values that are no numbers must have been replaced.

    Raises:
        ValueError: the image has no pixel, or the bounds admit no grid.
    """
    *lead, height, width = image.shape
    columns, rows = choose_grid(width, height, size, max_tiles, min_tiles)
    flat = image.reshape(1, -1, height, width)
    fitted = _resize(flat, rows * size, columns * size).reshape(-1, rows, size, columns, size)
    tiles = fitted.permute(1, 3, 0, 2, 4).reshape(rows * columns, -1, size, size)
    if thumbnail and len(tiles) > 1:
        tiles = torch.cat([tiles, _resize(flat, size, size)])
    return tiles.reshape(-1, *lead, size, size)


def _resize(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[-2:] == (height, width):
        return image
    return nn.functional.interpolate(image, (height, width), mode="bicubic", antialias=True, align_corners=False)
