"""What comes in: DICOM studies or volumes, what is planned for each, and how it is read."""
