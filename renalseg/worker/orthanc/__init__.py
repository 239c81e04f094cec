"""Orthanc by its REST interface: `client` talks to it, `feed` reads its log of changes."""
