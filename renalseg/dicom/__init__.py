"""DICOM in and out: `read` finds and loads a folder's CT series, `write` builds objects."""
