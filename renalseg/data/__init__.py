"""Real cases: case lists, download, checks, and volumes."""
