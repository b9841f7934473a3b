"""What a cheap camera does to a picture: exposure, colour cast, noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import cv2
import numpy as np
import numpy.typing as npt

from simulator.scenes.painter import Image

_SLACK_PX = 96


@dataclass
class Sensor:
    """A camera's own look, fixed by its seed: exposure, gamma, colour cast and noise."""

    seed: int
    width: int
    height: int
    _table: Image = field(init=False, repr=False)
    _noise: npt.NDArray[np.int16] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Draw the look and a tile of noise larger than the picture, from which every frame takes its own part."""
        rng = Random(f"sensor {self.seed}")
        warm, gamma, gain = rng.uniform(-11, 11), rng.uniform(0.85, 1.2), rng.uniform(0.8, 1.12)
        ramp = (np.arange(256) / 255) ** gamma * 255 * gain
        self._table = np.clip(ramp, 0, 255).astype(np.uint8)
        self._noise = _noise_tile(self.seed, self.width + _SLACK_PX, self.height + _SLACK_PX, rng.uniform(1.0, 3.0))
        self._noise += np.array([-warm, 0, warm], np.int16)  # a colour cast costs nothing here

    def see(self, image: Image, t_ms: int, light: float = 1.0) -> Image:
        """Return the picture as the sensor gives it at ``t_ms`` under ``light`` times the scene's usual light."""
        if abs(light - 1.0) > 0.002:
            image = cv2.convertScaleAbs(image, alpha=light).astype(np.uint8, copy=False)
        seen = cv2.LUT(image, self._table)
        chance = Random(f"{self.seed} {t_ms}")
        x, y = chance.randrange(_SLACK_PX), chance.randrange(_SLACK_PX)
        part = self._noise[y : y + self.height, x : x + self.width]
        return cv2.add(seen, part, dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def _noise_tile(seed: int, width: int, height: int, sigma: float) -> npt.NDArray[np.int16]:
    """Draw noise (height, width, 3), mostly of luma."""
    source = np.random.default_rng(seed)
    luma = source.normal(0, sigma, (height, width, 1))
    chroma = cv2.blur(source.normal(0, sigma, (height, width, 3)), (3, 3))
    return np.rint(luma + chroma).astype(np.int16)
