"""The verifier: reads a question and its answer as a person would, and holds what they assert against a chip's facts.

It believes nothing that is said about a pair, so that it holds for a language model's pairs as well as for templates'.
"""

from tasks.dialogue.verifier.judging import judge

__all__ = ["judge"]
