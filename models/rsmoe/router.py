"""The Instruction Router: from what the Q-Former sees of image and question to a prompt and a weight for each expert.

The paper says that it "dynamically generates" prompts and publishes no more (spec, section 1.2). Here the logged
template of an expert is the text, and what is trained changes the first tokens of it: queries of each expert attend to
the Q-Former's outputs, visual tokens and question alike, and what they find is added to the template's embeddings. The
last layer starts at zero, so that stage 2 begins with exactly what stage 1 gives for the templates.

Shapes:  B samples, T tiles, E experts, K prompt tokens, C channels of the Q-Former, D of the language model, L tokens
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.parts.fusion import ZeroLinear


@dataclass(frozen=True)
class Routed:
    """What the router says of some samples."""

    prompts: Tensor
    """(B, E, K, D), added to the embeddings of the first tokens of each template."""
    log_weights: Tensor
    """(B, E) logarithms of the experts' weights, which add up to 1."""


class InstructionRouter(nn.Module):
    """One layer of cross-attention with queries of its own for each expert."""

    def __init__(self, experts: int, prompt_tokens: int, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(experts, prompt_tokens, channels))
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.found_norm = nn.LayerNorm(channels)
        self.out = ZeroLinear(channels, width)
        self.weigh = nn.Parameter(torch.zeros(experts, channels))
        self.bias = nn.Parameter(torch.zeros(experts))
        self.reset()

    def reset(self) -> None:
        """Start the queries apart from each other, or all experts would find the same; the weights equal."""
        # Of the size of what they are held against, which is normalised: smaller ones would attend to all alike.
        nn.init.normal_(self.queries)
        nn.init.zeros_(self.weigh)
        nn.init.zeros_(self.bias)

    def forward(self, seen_TLC: Tensor, mask_TL: Tensor, sample_of_tile_T: Tensor) -> Routed:
        """Prompts and weights of each sample.

        Args:
            seen_TLC: outputs of the Q-Former for each tile: its visual tokens, then the question.
            mask_TL: True where there is a token.
            sample_of_tile_T: rising from 0; a sample of several dates has the mean of its tiles.
        """
        T, (E, K, C) = len(seen_TLC), self.queries.shape
        asked = self.queries.flatten(0, 1).expand(T, -1, -1)
        context = self.norm(seen_TLC)
        found, _ = self.attention(asked, context, context, key_padding_mask=~mask_TL, need_weights=False)
        found_TEKC = found.view(T, E, K, C)
        B = int(sample_of_tile_T[-1]) + 1
        tiles_B = torch.bincount(sample_of_tile_T, minlength=B)
        summed = found_TEKC.new_zeros(B, E, K, C).index_add(0, sample_of_tile_T, found_TEKC)
        mean_BEKC = summed / tiles_B[:, None, None, None].to(summed.dtype)
        # Normalised: what a fresh attention finds is small, and weights of it would hardly leave where they start.
        weights = (self.found_norm(mean_BEKC.mean(2)) * self.weigh).sum(-1) + self.bias
        # In float32: half precision would lose the digits of a weight that is nearly 1.
        return Routed(self.out(mean_BEKC), weights.float().log_softmax(-1))
