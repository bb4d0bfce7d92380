"""Any number of bands through an encoder made for three: group, encode all groups in one call, fuse by place.

EarthDial (section 3.2 of the paper) speaks of a trainable data-fusion module; its code runs none, and lays
the groups out as a mosaic that moves features away from their place. Here every patch keeps its place: at
each location the first group (true colour where the sensor has it) asks all groups of its tile, and what it
learns is added to it.

Shapes:  N groups of all tiles, T tiles, K groups of the largest tile, P tokens of a tile, C channels of the
encoder
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CHANNELS = 3
FREQUENCIES = 8
WAVELENGTHS = (0.4, 100_000.0)
"""Micrometres between which the sines of the embedding are spread: from blue to the 5.5 cm of a C-band
radar.
"""


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


def gather_groups(features_NPC: Tensor, tile_of_group_N: Tensor) -> tuple[Tensor, Tensor]:
    """Groups of each tile side by side: ((T, K, P, C), mask (T, K) that is True where a group is there).

    Args:
        features_NPC: encoded groups; those of a tile follow one another, its first group first.
        tile_of_group_N: index of each group's tile, rising from 0 without a gap.

    Raises:
        ValueError: the indices are not in order, or leave a tile out.
    """
    steps = tile_of_group_N.diff()
    if (
        len(tile_of_group_N) != len(features_NPC)
        or int(tile_of_group_N[0]) != 0
        or bool(((steps < 0) | (steps > 1)).any())
    ):
        raise ValueError(
            "groups must come tile by tile, tiles counted from 0 without a gap; "
            f"got {tile_of_group_N.tolist()}"
        )
    counts_T = torch.bincount(tile_of_group_N)
    T, K = len(counts_T), int(counts_T.max())
    starts_T = counts_T.cumsum(0) - counts_T
    place_N = torch.arange(len(features_NPC), device=features_NPC.device) - starts_T[tile_of_group_N]
    packed = features_NPC.new_zeros(T, K, *features_NPC.shape[1:])
    packed = packed.index_put((tile_of_group_N, place_N), features_NPC)
    mask_TK = torch.arange(K, device=features_NPC.device) < counts_T[:, None]
    return packed, mask_TK


class ZeroLinear(nn.Linear):
    """A linear layer that starts at zero: what stands behind it is learned without a jolt."""

    def reset_parameters(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class WavelengthEmbedding(nn.Module):
    """Which bands a group holds, from their centre wavelengths: new sensors need no new weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.Linear(CHANNELS * (2 * FREQUENCIES + 1), channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, wavelengths_N3: Tensor, band_mask_N3: Tensor) -> Tensor:
        """(N, 3) micrometres and (N, 3) True where there is a band -> (N, C)."""
        low, high = (torch.tensor(bound).log() for bound in WAVELENGTHS)
        position = (wavelengths_N3.clamp(*WAVELENGTHS).log() - low) / (high - low)
        octaves = torch.arange(FREQUENCIES, device=position.device, dtype=position.dtype)
        angle = position[..., None] * torch.pi * 2**octaves
        there = band_mask_N3[..., None].to(position.dtype)
        waves = torch.cat([angle.sin() * there, angle.cos() * there, there], dim=-1).flatten(1)
        embedding: Tensor = self.out(nn.functional.gelu(self.up(waves.to(self.up.weight.dtype))))
        return embedding


class BandGroupFusion(nn.Module):
    """Fuses the groups of a tile at each location; a tile of one group passes unchanged.

    A fresh module changes nothing, since its last layer starts at zero: training begins from what the first
    group alone would give, and no tile of one group (every RGB image) can ever be harmed by what fusion
    learns.
    """

    def __init__(self, channels: int, heads: int, kind: str = "attention") -> None:
        super().__init__()
        if kind not in ("attention", "mean"):
            raise ValueError(f"fusion is '{kind}'; allowed: attention, mean")
        self.kind, self.heads = kind, heads
        if kind == "attention":
            self.wavelength = WavelengthEmbedding(channels)
            self.norm = nn.LayerNorm(channels, eps=1e-6)
            self.query = nn.Linear(channels, channels)
            self.key_value = nn.Linear(channels, 2 * channels)
            self.out = ZeroLinear(channels, channels)

    def forward(
        self, features_NPC: Tensor, tile_of_group_N: Tensor, wavelengths_N3: Tensor, band_mask_N3: Tensor
    ) -> Tensor:
        """Encoded groups (N, P, C) -> tiles (T, P, C).

        Args:
            features_NPC: every group of every tile, the first group of each tile first.
            tile_of_group_N: index of each group's tile.
            wavelengths_N3: centre wavelengths of the bands in micrometres; any value where there is no band.
            band_mask_N3: True where a channel holds a band; False in the padding of a short group.
        """
        packed_TKPC, mask_TK = gather_groups(features_NPC, tile_of_group_N)
        first_TPC = packed_TKPC[:, 0]
        if mask_TK.shape[1] == 1:
            return first_TPC
        if self.kind == "mean":
            weight_TK11 = (mask_TK / mask_TK.sum(1, keepdim=True)).to(packed_TKPC.dtype)[..., None, None]
            return (packed_TKPC * weight_TK11).sum(1)
        embedding_NC = self.wavelength(wavelengths_N3, band_mask_N3)
        told_NPC = self.norm(features_NPC) + embedding_NC[:, None].to(features_NPC.dtype)
        told_TKPC, _ = gather_groups(told_NPC, tile_of_group_N)
        several_T11 = (mask_TK.sum(1) > 1).to(first_TPC.dtype)[:, None, None]
        fused: Tensor = first_TPC + several_T11 * self.out(self._attend(told_TKPC, mask_TK))
        return fused

    def _attend(self, told_TKPC: Tensor, mask_TK: Tensor) -> Tensor:
        """At each location the first group asks all groups of its tile: (T, K, P, C) -> (T, P, C)."""
        T, K, P, C = told_TKPC.shape
        split = (T * P, -1, self.heads, C // self.heads)
        query = self.query(told_TKPC[:, 0]).reshape(split).transpose(1, 2)
        by_place_TPKC = told_TKPC.transpose(1, 2).reshape(T * P, K, C)
        key, value = self.key_value(by_place_TPKC).chunk(2, dim=-1)
        key, value = (x.reshape(split).transpose(1, 2) for x in (key, value))
        mask = mask_TK.repeat_interleave(P, dim=0)[:, None, None]
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return attended.transpose(1, 2).reshape(T, P, C)
