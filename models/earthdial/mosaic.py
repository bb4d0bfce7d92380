"""The fusion that the published weights were trained with: the groups' features pasted into one picture.

EarthDial takes the P x C matrix of tokens and features of each group for a picture, shrinks it bilinearly and
lays the groups out in rows (spec, section 1.6). Places and channels are mixed by that, and where the last row
is short, a part of the picture stays zero. It is here for the published weights and to be compared with.
"""

import math

import torch
from torch import Tensor, nn


def mosaic(groups_TKPC: Tensor) -> Tensor:
    """Encoded groups (T, K, P, C), all there -> (T, P, C), in ceil(sqrt(K)) rows; one group passes unchanged."""
    T, K, P, C = groups_TKPC.shape
    rows = math.ceil(math.sqrt(K))
    columns = math.ceil(K / rows)
    heights, widths = share(P, rows), share(C, columns)
    picture = groups_TKPC.new_zeros(T, P, C)
    for index in range(K):
        row, column = divmod(index, columns)
        size = (heights[row], widths[column])
        top, left = sum(heights[:row]), sum(widths[:column])
        small = nn.functional.interpolate(groups_TKPC[:, index, None], size=size, mode="bilinear", align_corners=False)
        picture[:, top : top + size[0], left : left + size[1]] = small[:, 0]
    return picture


def share(length: int, parts: int) -> list[int]:
    """`length` in `parts` pieces; the first ones are longer by one where it does not divide."""
    return [length // parts + (part < length % parts) for part in range(parts)]


def mosaic_of_tiles(packed_TKPC: Tensor, mask_TK: Tensor) -> Tensor:
    """Tiles of different numbers of groups: (T, K, P, C) and True where a group is there -> (T, P, C)."""
    counts_T = mask_TK.sum(1)
    out = torch.empty_like(packed_TKPC[:, 0])
    for count in sorted(set(counts_T.tolist())):
        tiles = (counts_T == count).nonzero()[:, 0]
        out = out.index_copy(0, tiles, mosaic(packed_TKPC[tiles, :count]))
    return out
