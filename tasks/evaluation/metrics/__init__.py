"""Scoring: pure functions from a file of predictions to numbers. No torch, no network.

Two protocols. `legacy` repeats EarthDial's published scorer, its faults included, so that figures can be compared
with the paper; `honest` measures the same answers without those faults, with intervals and controls. What each
metric is, and what is done with bad input, stands in docs/reference/metrics.md.
"""
