"""Data sets to and from the layouts of others: what leaves is read by their libraries, what comes in is checked."""
