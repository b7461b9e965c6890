"""Datasets of video and photographs with eye fixations, and the training samples made of them; no torch here."""

from sal_train.data.clip import Clip
from sal_train.data.colour import Colour
from sal_train.data.layouts import LAYOUTS, open_dataset, recognise
from sal_train.data.motion import Augment, Motion
from sal_train.data.points import resize_fixations
from sal_train.data.samples import ClipSamples, Epoch, Passage, Sample
from sal_train.data.scan import constant_maps
from sal_train.data.stills import StillSamples

__all__ = [
    "LAYOUTS",
    "Augment",
    "Clip",
    "ClipSamples",
    "Colour",
    "Epoch",
    "Motion",
    "Passage",
    "Sample",
    "StillSamples",
    "constant_maps",
    "open_dataset",
    "recognise",
    "resize_fixations",
]
