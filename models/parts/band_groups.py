"""Any number of bands through an encoder made for three: in groups, all groups of a batch in one flat list.

Shapes:  N groups of all tiles, T tiles, B bands, K groups of the largest tile, P tokens of a tile, C channels
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHANNELS = 3


def group_bands(bands: Sequence[int], first: Sequence[int] = ()) -> list[tuple[int, ...]]:
    """Bands in groups of three, `first` as the first group, the others in their order; the last may be short.

    Args:
        bands: indices of all bands.
        first: indices of the true-colour composite in red, green, blue order, or nothing.

    Raises:
        ValueError: there is no band, or `first` names one that is not in `bands`.
    """
    missing = [band for band in first if band not in bands]
    if missing or not bands:
        raise ValueError(f"bands {missing or list(first)} are not among the {len(bands)} bands given")
    rest = [band for band in bands if band not in first]
    groups = [tuple(rest[start : start + CHANNELS]) for start in range(0, len(rest), CHANNELS)]
    return [tuple(first), *groups] if first else groups


def split_bands(pixels_TBHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Tiles of equal bands -> groups (N, 3, H, W), band mask (N, 3), tile of each group (N,); padding is zero."""
    T, B, H, W = pixels_TBHW.shape
    K = -(-B // CHANNELS)
    # Padded with zeros and masked; EarthDial repeats the last band instead (spec, section 1.6), see `fill_missing`.
    padded = pixels_TBHW.new_zeros(T, K * CHANNELS, H, W)
    padded[:, :B] = pixels_TBHW
    device = pixels_TBHW.device
    mask_K3 = (torch.arange(K * CHANNELS, device=device) < B).reshape(K, CHANNELS)
    tiles_N = torch.arange(T, device=device).repeat_interleave(K)
    return padded.reshape(T * K, CHANNELS, H, W), mask_K3.repeat(T, 1), tiles_N


def absent_groups(band_mask_N3: Tensor, tile_of_group_N: Tensor) -> Tensor | None:
    """Where a group holds a band at all (N,), or None if every one does.

    Raises:
        ValueError: a tile holds no band at all.
    """
    there_N = band_mask_N3.any(1)
    if bool(there_N.all()):
        return None
    empty = set(tile_of_group_N.tolist()) - set(tile_of_group_N[there_N].tolist())
    if empty:
        raise ValueError(f"no band is there in tile {sorted(empty)}: its band_mask is False throughout")
    return there_N


def fill_missing(pixels_N3HW: Tensor, band_mask_N3: Tensor, repeat: bool) -> Tensor:
    """Channels without a band become zero or, with `repeat`, the last band before them, as EarthDial does it.

    Whatever stood there, NaN too, is gone. A channel with no band before it becomes zero in either case.
    """
    out = pixels_N3HW.masked_fill(~band_mask_N3[..., None, None], 0)
    if not repeat:
        return out
    places = torch.arange(CHANNELS, device=out.device)
    # A running maximum of the places that hold a band: each channel's own, or the last before it.
    last_N3 = torch.where(band_mask_N3, places, 0).cummax(1).values
    return out[torch.arange(len(out), device=out.device)[:, None], last_N3]


@dataclass(frozen=True)
class Groups:
    """The groups of all tiles as an encoder takes them; those without a band are gone."""

    pixels: Tensor
    """(N, 3, H, W), zero or repeated where a channel holds no band."""
    tile: Tensor
    """(N,) index of each group's tile."""
    wavelengths: Tensor | None
    band_mask: Tensor | None
    days: Tensor | None


def prepare_groups(
    pixel_values: Tensor,
    tile_of_group: Tensor | None,
    wavelengths: Tensor | None,
    band_mask: Tensor | None,
    days: Tensor | None,
    repeat: bool,
) -> Groups:
    """Bands in groups, what holds no band taken out or filled.

    Args:
        pixel_values: (T, bands, H, W), or with `tile_of_group` (N, 3, H, W), the groups of all tiles.
        tile_of_group: (N,) index of each group's tile, rising from 0; a tile's first group comes first.
        wavelengths: (N, 3) centre wavelengths in micrometres.
        band_mask: (N, 3) True where a channel holds a band.
        days: (N,) days since the first date of the tile.
        repeat: see `fill_missing`.

    Raises:
        ValueError: groups are described but not said to which tile they belong, or the shapes disagree.
    """
    if pixel_values.ndim != 4:
        raise ValueError(f"pixel_values are (tiles, bands, height, width); got {tuple(pixel_values.shape)}")
    groups = pixel_values
    if tile_of_group is None:
        if not (wavelengths is None and band_mask is None and days is None):
            raise ValueError("wavelengths, band_mask and days describe groups: give tile_of_group with them")
        groups, band_mask, tile_of_group = split_bands(pixel_values)
    elif pixel_values.shape[1] != CHANNELS:
        raise ValueError(
            f"with tile_of_group, pixel_values are groups of {CHANNELS} bands; got {tuple(pixel_values.shape)}"
        )
    if band_mask is not None:
        there = absent_groups(band_mask, tile_of_group)
        if there is not None:
            groups, tile_of_group, band_mask = groups[there], tile_of_group[there], band_mask[there]
            wavelengths, days = (None if x is None else x[there] for x in (wavelengths, days))
        groups = fill_missing(groups, band_mask, repeat)
    return Groups(groups, tile_of_group, wavelengths, band_mask, days)


def gather_groups(features_NPC: Tensor, tile_of_group_N: Tensor) -> tuple[Tensor, Tensor]:
    """Groups of each tile side by side: ((T, K, P, C), mask (T, K) that is True where a group is there).

    Args:
        features_NPC: encoded groups; those of a tile follow one another, its first group first.
        tile_of_group_N: index of each group's tile, rising from 0 without a gap.

    Raises:
        ValueError: the indices are not in order, or leave a tile out.
    """
    check_order(features_NPC, tile_of_group_N)
    counts_T = torch.bincount(tile_of_group_N)
    T, K = len(counts_T), int(counts_T.max())
    starts_T = counts_T.cumsum(0) - counts_T
    # Place of each group within its tile, from its place in the list: no loop over tiles.
    place_N = torch.arange(len(features_NPC), device=features_NPC.device) - starts_T[tile_of_group_N]
    packed = features_NPC.new_zeros(T, K, *features_NPC.shape[1:])
    packed = packed.index_put((tile_of_group_N, place_N), features_NPC)
    mask_TK = torch.arange(K, device=features_NPC.device) < counts_T[:, None]
    return packed, mask_TK


def check_order(groups_N: Tensor, tile_of_group_N: Tensor) -> None:
    """Raise ValueError unless the groups come tile by tile, counted from 0 without a gap."""
    steps = tile_of_group_N.diff()
    if len(tile_of_group_N) != len(groups_N) or int(tile_of_group_N[0]) != 0 or bool(((steps < 0) | (steps > 1)).any()):
        raise ValueError(f"groups must come tile by tile, counted from 0 without a gap; got {tile_of_group_N.tolist()}")
