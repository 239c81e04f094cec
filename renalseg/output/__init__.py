"""From findings to files: all at once or not at all."""
