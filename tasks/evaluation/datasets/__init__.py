"""Benchmarks: one registry, and adapters from their owners' files to samples that all models are asked."""
