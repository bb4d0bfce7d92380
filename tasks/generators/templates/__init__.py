"""Pairs from templates grounded in a chip's facts: a file for each family of kinds, and what they share."""
