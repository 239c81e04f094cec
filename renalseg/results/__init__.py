"""What is found in a study, and how results come into the output folder as a whole."""
