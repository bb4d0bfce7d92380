"""Runs that leave the checkout: workspaces, the DVC remote, releases, and which model is in service."""
