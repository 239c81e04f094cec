"""The networks of the methods, one module each, and what makes one of several."""

from renalseg.networks.convlstm import ConvLSTMUNet
from renalseg.networks.ensemble import Ensemble
from renalseg.networks.locator import KidneyLocator
from renalseg.networks.mrb import MRBUNet
from renalseg.networks.msvnet import MultiScaleVNet
from renalseg.networks.resunet import ResUNet
from renalseg.networks.resvnet import CascadeResVNet
from renalseg.networks.sehdc import SEHDCUNet
from renalseg.networks.unet import SliceUNet

__all__ = [
    "CascadeResVNet",
    "ConvLSTMUNet",
    "Ensemble",
    "KidneyLocator",
    "MRBUNet",
    "MultiScaleVNet",
    "ResUNet",
    "SEHDCUNet",
    "SliceUNet",
]
