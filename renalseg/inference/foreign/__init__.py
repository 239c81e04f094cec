"""Models from elsewhere as stages: other frameworks and other labels, the same contract."""
