"""What makes a container image of this project a MONAI Application Package."""
