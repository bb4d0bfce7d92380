"""Adaptive tiling: an image of any size and any number of bands as square tiles, and a thumbnail of the whole.

InternVL 1.5's dynamic resolution, which EarthDial keeps (spec, section 1.2): the image is stretched onto the grid that
is nearest to it in shape (`models.parts.tile_grid`), and cut row by row. Here it works on tensors, so that
multispectral and radar images are tiled as RGB ones are: the released code shows them as one small square.

Shapes:  C bands, H and W of the image, T tiles, S side of a tile
"""

import torch
from torch import Tensor, nn

from models.parts.tile_grid import choose_grid


def cut_tiles(image: Tensor, size: int, max_tiles: int, min_tiles: int = 1, thumbnail: bool = True) -> Tensor:
    """(..., H, W) -> (T, ..., S, S): the tiles row by row, then the thumbnail if there are several.

    Bicubic as in the reference, with antialiasing, as its image library does it: shrinking without it folds fine
    texture (fields, waves) into patterns that are not there. Values that are no numbers must have been replaced.

    Raises:
        ValueError: the image has no pixel, or the bounds admit no grid.
    """
    *lead, height, width = image.shape
    columns, rows = choose_grid(width, height, size, max_tiles, min_tiles)
    # All bands and groups as channels of one picture: one resize for all of them.
    flat = image.reshape(1, -1, height, width)
    # Stretched, neither padded nor cropped: the reference does not keep an image's shape (spec, section 1.2).
    fitted = _resize(flat, rows * size, columns * size).reshape(-1, rows, size, columns, size)
    tiles = fitted.permute(1, 3, 0, 2, 4).reshape(rows * columns, -1, size, size)
    if thumbnail and len(tiles) > 1:
        # Last, where InternVL puts it and its weights expect the whole image.
        tiles = torch.cat([tiles, _resize(flat, size, size)])
    return tiles.reshape(-1, *lead, size, size)


def _resize(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[-2:] == (height, width):
        return image
    return nn.functional.interpolate(image, (height, width), mode="bicubic", antialias=True, align_corners=False)
