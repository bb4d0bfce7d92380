"""Leakage: which questions of a benchmark a training mixture has seen, by image, by text and by place.

An engine without torch or network. A benchmark is the smaller side: it is indexed in memory, and the mixture is
streamed past it. What each kind of match catches, and what it does not, stands in docs/how-to/board.md.
"""
