"""A page on which people look at pairs beside their evidence, and decide."""
