"""Makers of exact test inputs."""
