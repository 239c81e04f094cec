"""CTs as volumes in NIfTI, NRRD and MetaImage files, and label maps on their grids."""
