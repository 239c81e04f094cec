"""From labels to segments, measures and sentences; knows no file format."""
