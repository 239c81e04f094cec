"""Synthetic CT: anatomies as tissue maps, and their random intensities."""
