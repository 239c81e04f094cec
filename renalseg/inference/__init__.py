"""Bundles, methods, the engines that run networks, and inferers for windows and slices."""
