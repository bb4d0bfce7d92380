"""Fine-tuning on pairs of one's own: adapters trained on an imported data set, scored on what was held out of it."""
