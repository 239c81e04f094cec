"""The MONAI Deploy application: a CT study in DICOM goes in, a DICOM segmentation comes out."""
