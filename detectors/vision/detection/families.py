"""Every family of detection models that can be read, by the name that a manifest gives it."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.errors import ConfigurationError
from contracts.suggestions import did_you_mean
from detectors.vision.detection import dfl, yolox
from detectors.vision.detection.decoder import Decoder

DECODERS: Mapping[str, Decoder] = {"yolox": yolox, "picodet": dfl, "nanodet": dfl}
"""PicoDet and NanoDet differ in their number of strides only, which the outputs themselves show."""


def decoder_of(family: str) -> Decoder:
    """Return the family's decoder.

    Raises:
        ConfigurationError: there is none; names the family that was probably meant.
    """
    decoder = DECODERS.get(family)
    if decoder is None:
        raise ConfigurationError(f"family {family!r} is unknown: {did_you_mean(family, DECODERS)}")
    return decoder
