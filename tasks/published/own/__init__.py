"""Conversations of one's own: JSON and tables in the forms that others' tools write, with images beside them."""
