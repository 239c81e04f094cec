"""Steps that make a container image of this project a MONAI Application Package."""
