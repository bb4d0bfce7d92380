"""A checkpoint that leaves: its card, what of it may be sent, and the way to a hub."""
