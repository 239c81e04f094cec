"""Real cases: where their files lie, how they are fetched, checked, and made quick to draw from."""
