"""Samples and pixels into what a vision-language model takes, and its answers out of it."""
