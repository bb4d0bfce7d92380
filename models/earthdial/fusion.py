"""Fusion of a tile's band groups into one image, place by place, between vision encoder and projector.

EarthDial (section 3.2 of the paper) speaks of a trainable data-fusion module; its code runs none, and lays
the groups out as a mosaic that moves features away from their place. Here every patch keeps its place: at
each location the first group (true colour where the sensor has it) asks all groups of its tile, and what it
learns is added to it.

Shapes:  N groups of all tiles, T tiles, K groups of the largest tile, P patches of a tile, C channels
"""

import torch
from torch import Tensor, nn

from models.parts.band_groups import CHANNELS, gather_groups

FREQUENCIES = 8
WAVELENGTHS = (0.4, 100_000.0)
"""Micrometres between which the sines of the embedding are spread: from blue to the 5.5 cm of a C-band
radar.
"""


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
