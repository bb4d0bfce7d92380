"""What covers the ground under each visual token, read by one linear layer: a second lesson beside the answers.

Not in the paper. A hundred chips and a few thousand short answers say little about each pixel; the labels they were
written from say it place by place. With published weights, which have seen enough, it is left out.

Shapes:  T tiles, K visual tokens of a tile, C channels of the language model, L classes
"""

import torch
from torch import Tensor, nn


class CoverHead(nn.Linear):
    """Visual tokens -> a score of each class, whose sigmoid is its share."""

    def forward(self, tokens_TKC: Tensor, cover_TKL: Tensor | None = None) -> Tensor:
        """Scores (T, K, L); or with `cover_TKL` the loss summed over tiles: binary cross-entropy, a mean over all
        tokens and known classes of a tile.

        Args:
            tokens_TKC: as the projector gives them.
            cover_TKL: shares from 0 to 1, NaN where a class is not known; a tile without a known class has no loss.
        """
        scores_TKL: Tensor = super().forward(tokens_TKC)
        if cover_TKL is None:
            return scores_TKL
        known_TKL = cover_TKL.isfinite()
        # Replaced before the loss and zeroed after it: zero times NaN would be NaN.
        shares = torch.where(known_TKL, cover_TKL, 0.0).float()
        losses = nn.functional.binary_cross_entropy_with_logits(scores_TKL.float(), shares, reduction="none")
        # Of a share no loss reaches zero: what is left at the best score is the labels' own, and no reason to move.
        least = torch.special.entr(shares) + torch.special.entr(1 - shares)
        summed_T = ((losses - least) * known_TKL).sum((1, 2))
        loss: Tensor = (summed_T / known_TKL.sum((1, 2)).clamp(min=1)).sum()
        return loss
