"""Running a benchmark: its samples asked of a model, ours or another's, and what it answered kept for scoring.

An engine and the command `earthloom evaluate`. Scores are taken from the files it leaves, by tasks.evaluation.metrics.
"""
