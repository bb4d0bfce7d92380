"""Data sets and weights that others have published: into our layout, row by row and bit by bit, and back."""
