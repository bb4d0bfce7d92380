"""What DVC knows of the graph, and the one writer of dvc.lock."""
