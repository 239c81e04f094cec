"""The networks of the methods, one module each."""

from renalseg.networks.sehdc import SEHDCUNet

__all__ = ["SEHDCUNet"]
