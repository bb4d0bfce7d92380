"""What is kept of answered questions: keys and values of their tokens, and visual tokens of their tiles.

The next turn of a conversation then begins where the one before ended, and no tile is encoded twice. Text is compared
token by token and a tile by the digest of all the encoder is given, so that another image is never taken for it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.earthdial.row_cache import Copied

MOST_SEQUENCES = 256
"""Each new question is compared with all that are kept."""
MOST_TILES = 65_536
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Identity:
    """What keys and values depend on: the tokens, and what the tiles among them show."""

    ids: NDArray[np.int64]
    starts: tuple[int, ...] = ()
    """Place of each tile's first token."""
    digests: tuple[bytes, ...] = ()

    def shared(self, other: "Identity") -> int:
        """Tokens at the beginning that two sequences have in common."""
        length = min(len(self.ids), len(other.ids))
        differ = np.flatnonzero(self.ids[:length] != other.ids[:length])
        common = int(differ[0]) if len(differ) else length
        tiles = zip(self.starts, self.digests, other.starts, other.digests, strict=False)
        for place, digest, its_place, its_digest in tiles:
            if min(place, its_place) >= common:
                break
            if place != its_place or digest != its_digest:
                return min(common, place, its_place)
        return common

    def longer(self, ids: Sequence[int]) -> "Identity":
        """The same with tokens of text at its end."""
        return Identity(np.concatenate([self.ids, np.asarray(ids, np.int64)]), self.starts, self.digests)


@dataclass(frozen=True)
class _Sequence:
    identity: Identity
    copied: Copied


class _Recent(Generic[K, V]):
    """The most recently used of some things, within a bound on their bytes and number."""

    def __init__(self, most_bytes: int, most: int) -> None:
        self.most_bytes, self.most, self.bytes = most_bytes, most, 0
        self.held: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def put(self, key: K, value: V, size: int) -> None:
        if size > self.most_bytes:
            return
        self.held[key] = value, size
        self.bytes += size
        while self.bytes > self.most_bytes or len(self.held) > self.most:
            self.drop(next(iter(self.held)))

    def get(self, key: K) -> V | None:
        if key not in self.held:
            return None
        self.held.move_to_end(key)
        return self.held[key][0]

    def drop(self, key: K) -> None:
        self.bytes -= self.held.pop(key)[1]


class Kept:
    """The most recently used of it, within a bound on its bytes: a quarter for tiles, the rest for sequences."""

    def __init__(self, most_bytes: int) -> None:
        self._sequences: _Recent[int, _Sequence] = _Recent(most_bytes - most_bytes // 4, MOST_SEQUENCES)
        self._tiles: _Recent[bytes, Tensor] = _Recent(most_bytes // 4, MOST_TILES)
        self._next = 0

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._sequences.bytes + self._tiles.bytes

    def longest(self, identity: Identity) -> tuple[int, Copied]:
        """Tokens at the beginning whose keys and values are kept, and those; the last token is never among them."""
        best, found = 0, -1
        for number, (one, _) in self._sequences.held.items():
            shared = min(identity.shared(one.identity), len(identity.ids) - 1)
            if shared > best:
                best, found = shared, number
        kept = self._sequences.get(found)
        return best, kept.copied if kept else ()

    def room(self, size: int) -> bool:
        """Whether a sequence of so many bytes can be kept."""
        return size <= self._sequences.most_bytes

    def keep(self, identity: Identity, copied: Copied) -> None:
        """Keep a sequence; one that it begins with is superseded."""
        for number, (one, _) in list(self._sequences.held.items()):
            shared = identity.shared(one.identity)
            if shared == len(identity.ids):
                self._sequences.get(number)
                return
            if shared == len(one.identity.ids):
                self._sequences.drop(number)
        size = sum(tensor.nbytes for pair in copied for tensor in pair)
        self._sequences.put(self._next, _Sequence(identity, copied), size)
        self._next += 1

    def tile(self, digest: bytes) -> Tensor | None:
        """Visual tokens of a tile, if they are kept."""
        return self._tiles.get(digest)

    def keep_tile(self, digest: bytes, tokens: Tensor) -> None:
        """Keep the visual tokens of a tile."""
        if self._tiles.get(digest) is None:
            # By themselves: a view would hold all tiles that were encoded with it.
            self._tiles.put(digest, tokens.clone(), tokens.nbytes)


def identify(ids: Sequence[int], images: Mapping[str, Tensor], image_token: int, tokens_per_tile: int) -> Identity:
    """The identity of a question.

    Args:
        ids: its tokens.
        images: as `models.earthdial.tiles.described` gives them; empty where there is no image.
        image_token: stands where a visual token goes.
        tokens_per_tile: visual tokens of a tile.

    Raises:
        ValueError: the text has another number of places than there are visual tokens.
    """
    array = np.asarray(ids, np.int64)
    if not images:
        return Identity(array)
    places, tiles = np.flatnonzero(array == image_token), images["tile_of_group"]
    starts = places[::tokens_per_tile]
    if len(places) != (int(tiles[-1]) + 1) * tokens_per_tile:
        raise ValueError(f"{len(places)} visual tokens in the text, but {int(tiles[-1]) + 1} tiles are given")
    digests = []
    for tile in range(len(starts)):
        digest = hashlib.sha256()
        of_it = tiles == tile
        for name in sorted(images):
            if name != "tile_of_group":
                part = images[name][of_it].contiguous()
                digest.update(f"{name} {part.dtype} {tuple(part.shape)} ".encode())
                digest.update(part.flatten().view(torch.uint8).numpy().data)
        digests.append(digest.digest())
    return Identity(array, tuple(starts.tolist()), tuple(digests))
