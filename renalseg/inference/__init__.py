"""Bundles, the engine that runs their networks, and how windows and slices go through it."""
