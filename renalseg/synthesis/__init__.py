"""Synthetic CT: anatomies as tissue maps, and the drawing of their intensities."""
