"""DICOM in and out: read a CT series, write one, write a segmentation of one.

`read` finds and loads the CT series of a folder, `ct` writes a CT series from an array, `seg`
writes a segmentation on the source planes. The other modules hold their steps.
"""
