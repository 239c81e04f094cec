"""From labels to segments, measures, plausibility and sentences; knows no file format."""
