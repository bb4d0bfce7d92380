"""Instances on the workers of the GPU pool: asked for by hashes, on leased devices, with checkpoints that travel."""
