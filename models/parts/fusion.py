"""Fusion of a tile's band groups into one image, place by place, between vision encoder and projector.

EarthDial (section 3.2 of the paper) speaks of a trainable data-fusion module; its code runs none, and lays
the groups out as a mosaic that moves features away from their place. Here every patch keeps its place: at
each location the first group (true colour where the sensor has it) asks all groups of its tile, and what it
learns is added to it.

Shapes:  N groups of all tiles, T tiles, K groups of the largest tile, P patches of a tile, C channels, h heads
"""

import math

import torch
from torch import Tensor, nn

from models.parts.band_groups import CHANNELS, gather_groups

KINDS = ("attention", "mosaic", "mean", "max")
FREQUENCIES = 8
WAVELENGTHS = (0.4, 100_000.0)
"""Micrometres between which the sines of the embedding are spread: from blue to the 5.5 cm of a C-band
radar.
"""
DATE_OCTAVES = 12
MAX_PERIOD = 16 * 365.25
"""Days. The periods halve from here to three days, so that one of them is the year."""
DESCRIPTION = CHANNELS * (2 * FREQUENCIES + 1) + 2 * DATE_OCTAVES
"""Numbers that describe a group: sines and cosines of each wavelength, whether the band is there, and the date."""


class ZeroLinear(nn.Linear):
    """A linear layer that starts at zero, so that training begins from the network without it."""

    def reset_parameters(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class GroupEmbedding(nn.Module):
    """Which bands a group holds, by their centre wavelengths, and when it was taken: new sensors need no new
    weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.Linear(DESCRIPTION, channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, wavelengths_N3: Tensor, band_mask_N3: Tensor, days_N: Tensor, dtype: torch.dtype) -> Tensor:
        """Description of N groups -> (N, C) in `dtype`. A wavelength of NaN is a band that is there, of unknown
        wavelength.
        """
        # On a logarithmic scale: bands of the visible lie 0.1 micrometres apart, those of radar centimetres.
        low, high = (torch.tensor(bound).log() for bound in WAVELENGTHS)
        known = wavelengths_N3.isfinite()
        # Replaced before the sine and zeroed after it: zero times NaN would be NaN.
        wave = torch.where(known, wavelengths_N3.float(), 1.0).clamp(*WAVELENGTHS)
        angle = self._angles((wave.log() - low) / (high - low) * torch.pi, FREQUENCIES)
        there = band_mask_N3[..., None].float()
        usable = there * known[..., None]
        # That a band is there is described apart from its wavelength, which may be unknown.
        waves = torch.cat([angle.sin() * usable, angle.cos() * usable, there], dim=-1).flatten(1)
        phase = self._angles(days_N.float() / MAX_PERIOD * 2 * torch.pi, DATE_OCTAVES)
        description = torch.cat([waves, phase.sin(), phase.cos()], dim=-1)
        embedding: Tensor = self.out(nn.functional.gelu(self.up(description.to(dtype))))
        return embedding

    @staticmethod
    def _angles(values: Tensor, octaves: int) -> Tensor:
        """(...) radians -> (..., octaves), each twice the one before."""
        return values[..., None] * 2.0 ** torch.arange(octaves, device=values.device)


class BandGroupFusion(nn.Module):
    """Fuses the groups of a tile at each location; a tile of one group passes unchanged.

    Kinds: `attention` is trained; `mean` and `max` compare groups without weights; `mosaic` is the released one.
    A fresh `attention` changes nothing, since its last layer starts at zero: training begins from what the first
    group alone would give, and no tile of one group (every RGB image) can ever be harmed by what fusion learns.

    Raises:
        ValueError: there is no such kind.
    """

    def __init__(self, channels: int, heads: int, kind: str = "attention") -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"fusion is '{kind}'; allowed: {', '.join(KINDS)}")
        self.kind, self.heads = kind, heads
        if kind == "attention":
            self.embedding = GroupEmbedding(channels)
            self.norm = nn.LayerNorm(channels, eps=1e-6)
            self.query = nn.Linear(channels, channels)
            self.key_value = nn.Linear(channels, 2 * channels)
            self.out = ZeroLinear(channels, channels)

    def forward(
        self,
        features_NPC: Tensor,
        tile_of_group_N: Tensor,
        wavelengths_N3: Tensor | None = None,
        band_mask_N3: Tensor | None = None,
        days_N: Tensor | None = None,
    ) -> Tensor:
        """Encoded groups (N, P, C) -> tiles (T, P, C).

        Args:
            features_NPC: every group of every tile, the first group of each tile first.
            tile_of_group_N: index of each group's tile.
            wavelengths_N3: centre wavelengths of the bands in micrometres, NaN where unknown; None: all unknown.
            band_mask_N3: True where a channel holds a band; False in the padding of a short group; None: all do.
            days_N: days since the first date of the tile; None: all 0.
        """
        if self.kind == "attention":
            return self._attention(features_NPC, tile_of_group_N, wavelengths_N3, band_mask_N3, days_N)
        packed_TKPC, mask_TK = gather_groups(features_NPC, tile_of_group_N)
        if self.kind == "mosaic":
            return mosaic_of_tiles(packed_TKPC, mask_TK)
        # Padding must win no maximum, and be counted in no mean.
        mask_TK11 = mask_TK[..., None, None]
        if self.kind == "max":
            return packed_TKPC.masked_fill(~mask_TK11, -torch.inf).amax(1)
        return packed_TKPC.sum(1) / mask_TK11.sum(1).to(packed_TKPC.dtype)

    def _attention(
        self,
        features_NPC: Tensor,
        tile_of_group_N: Tensor,
        wavelengths_N3: Tensor | None,
        band_mask_N3: Tensor | None,
        days_N: Tensor | None,
    ) -> Tensor:
        """Only tiles of several groups go through. Where there is none, one tile does, times zero: processes that
        train together must all have a gradient for every parameter.
        """
        N, device = len(features_NPC), features_NPC.device
        waves = torch.full((N, CHANNELS), torch.nan, device=device) if wavelengths_N3 is None else wavelengths_N3
        mask = torch.ones(N, CHANNELS, dtype=torch.bool, device=device) if band_mask_N3 is None else band_mask_N3
        days = torch.zeros(N, device=device) if days_N is None else days_N
        # Indices are gathered, not features: an RGB tile beside one of twelve bands would be padded to four groups.
        order_TK1, there_TK = gather_groups(torch.arange(N, device=device)[:, None], tile_of_group_N)
        first_TPC = features_NPC[order_TK1[:, 0, 0]]
        several_T = there_TK.sum(1) > 1
        # A single group has nothing to ask, and fusion must leave the many RGB tiles exactly as they were.
        tiles = several_T.nonzero()[:, 0] if there_TK.shape[1] > 1 else torch.zeros(1, dtype=torch.long, device=device)
        there_MK = there_TK[tiles]
        groups = order_TK1[tiles, :, 0][there_MK]
        described_GPC = self.norm(features_NPC[groups])
        described_GPC = (
            described_GPC + self.embedding(waves[groups], mask[groups], days[groups], described_GPC.dtype)[:, None]
        )
        # Times zero, not skipped, where the one tile stands in for none: it must give gradients and change nothing.
        learned = self.out(self._attend(described_GPC, there_MK)) * several_T[tiles, None, None]
        return first_TPC.index_add(0, tiles, learned.to(first_TPC.dtype))

    def _attend(self, described_GPC: Tensor, there_MK: Tensor) -> Tensor:
        """At each location the first group asks all groups of its tile: (G, P, C) of M tiles -> (M, P, C)."""
        _, P, C = described_GPC.shape
        key_value_GP2C = self.key_value(described_GPC)
        # Projected while still flat, so that the padding below costs memory but no product.
        packed_MKP2C = key_value_GP2C.new_zeros(*there_MK.shape, P, 2 * C)
        packed_MKP2C = packed_MKP2C.masked_scatter(there_MK[..., None, None], key_value_GP2C)
        key, value = packed_MKP2C.chunk(2, dim=-1)
        starts = there_MK.sum(1).cumsum(0) - there_MK.sum(1)
        heads = (self.heads, C // self.heads)
        query = self.query(described_GPC[starts])[:, None]
        # One query a location and head: a sum of products, where a kernel for many queries would sit idle.
        score_MKPh = (query * key).reshape(*key.shape[:-1], *heads).sum(-1) * heads[1] ** -0.5
        weight = score_MKPh.masked_fill(~there_MK[..., None, None], -torch.inf).softmax(1)
        attended: Tensor = (weight[..., None] * value.reshape(*value.shape[:-1], *heads)).sum(1).flatten(-2)
        return attended


def mosaic(groups_TKPC: Tensor) -> Tensor:
    """The fusion that the published weights were trained with: (T, K, P, C) -> (T, P, C); one group passes unchanged.

    EarthDial takes the P x C matrix of tokens and features of each group for a picture, shrinks it bilinearly and lays
    the groups out in ceil(sqrt(K)) rows (spec, section 1.6). Places and channels are mixed by that, and where the last
    row is short, a part of the picture stays zero. It is here for the published weights and to be compared with.
    """
    T, K, P, C = groups_TKPC.shape
    rows = math.ceil(math.sqrt(K))
    columns = math.ceil(K / rows)
    # The longer parts come first, as in the released code: the order is part of what the weights have learned.
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
    """`length` cut into `parts`; the first ones are longer by one where it does not divide."""
    return [length // parts + (part < length % parts) for part in range(parts)]


def mosaic_of_tiles(packed_TKPC: Tensor, mask_TK: Tensor) -> Tensor:
    """Tiles of different numbers of groups: (T, K, P, C) and True where a group is there -> (T, P, C)."""
    counts_T = mask_TK.sum(1)
    out = torch.empty_like(packed_TKPC[:, 0])
    # By number of groups: the layout depends on it, and a padded group would leave a hole.
    for count in sorted(set(counts_T.tolist())):
        tiles = (counts_T == count).nonzero()[:, 0]
        out = out.index_copy(0, tiles, mosaic(packed_TKPC[tiles, :count]))
    return out
