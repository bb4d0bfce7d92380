"""HOW the networks work: torch, transformers, peft. No I/O beyond weights, no Prefect, no DVC."""
