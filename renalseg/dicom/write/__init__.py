"""From a segmentation and its measures to DICOM objects."""
