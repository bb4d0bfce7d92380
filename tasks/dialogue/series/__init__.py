"""Conversations about several images of one window: what is known of them, and what a pair says of it."""
