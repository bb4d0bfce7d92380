"""Stage `evaluate`: held-out questions answered by the trained model, always beside its controls."""
