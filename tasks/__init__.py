"""WHAT the pipeline does: one module or package per DVC stage, plain functions. No Prefect, no DVC."""
