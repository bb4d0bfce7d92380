"""WHAT the pipeline does: a module is a stage of dvc.yaml; the commands and the rooms by subject are folders."""
