"""What a picture is like as a whole: how bright, how sharp, where its edges are, how coloured."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from detectors.vision.detection.detections import Image

_SIZE = (640, 360)
_SPOTS = (160, 90)
_CELLS = (32, 18)
_ROWS = (32, 45)
_ROW_OFF, _ROW_PART = 1.0, 0.9  # in a mean of 160 pixels noise is below 0.5; a sky's shades are not
_WHITE = 250
_FLAT_EDGE = 8.0  # mean gradient below which a cell shows nothing; noise of a dark picture has 5

Cells = npt.NDArray[np.float32]


class PictureTraits(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in a few numbers, grey values 0–255.

    ``brightest``: what all but one in two hundred pixels are darker than. ``white_part``: of pixels without a shade.
    ``contrast``: deviation among large cells. ``fine`` and ``middle``: deviation of structures of 1–2 px and of 2–8 px,
    in a picture of 640 px. ``flat_part``: of cells without an edge. ``row_part``: of rows that show what the usual row
    shows, whose middle value is ``row_middle``. ``colour``: mean saturation. ``cells`` (18, 32): means. ``edges``
    (18, 32) and ``slopes`` (90, 160): how much edge there is where. ``spots`` (90, 160): single pixels, not means, so
    that the noise of a living sensor shows.
    """

    brightest: float
    white_part: float
    contrast: float
    fine: float
    middle: float
    flat_part: float
    row_part: float
    row_middle: float
    colour: float
    cells: Cells
    edges: Cells
    slopes: Cells
    spots: npt.NDArray[np.int16]


def traits_of(picture: Image) -> PictureTraits:
    """Return the traits of a picture, (H, W, 3) BGR uint8 of any size."""
    small = cv2.resize(picture, _SIZE, interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)
    soft, softer = cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.GaussianBlur(grey, (0, 0), 4.0)
    slope = cv2.magnitude(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    slopes = _reduced(np.asarray(slope, np.float32), _SPOTS)
    edges, cells = _reduced(slopes, _CELLS), _reduced(grey, _CELLS)
    row_part, row_middle = _alike_rows(grey)
    brightest, white_part = _light(grey)
    spots = cv2.resize(picture, _SPOTS, interpolation=cv2.INTER_NEAREST)
    return PictureTraits(
        brightest=brightest,
        white_part=white_part,
        contrast=float(np.std(cells)),
        fine=float(cv2.meanStdDev(cv2.subtract(grey, soft))[1][0, 0]),
        middle=float(cv2.meanStdDev(cv2.subtract(soft, softer))[1][0, 0]),
        flat_part=float((edges < _FLAT_EDGE).mean()),
        row_part=row_part,
        row_middle=row_middle,
        colour=_colour(np.asarray(spots, np.uint8)),
        cells=cells,
        edges=edges,
        slopes=slopes,
        spots=np.asarray(cv2.cvtColor(spots, cv2.COLOR_BGR2GRAY), np.int16),
    )


def _reduced(picture: Cells, size: tuple[int, int]) -> Cells:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _light(grey: Cells) -> tuple[float, float]:
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel()
    brightest = float(np.searchsorted(np.cumsum(counts), 0.995 * grey.size))
    return brightest, float(counts[_WHITE:].sum()) / grey.size


def _alike_rows(grey: Cells) -> tuple[float, float]:
    """Return the part of rows like the median row, and that row's own median: a view has no row twice."""
    rows = _reduced(grey, _ROWS)
    usual = np.median(rows, axis=0)
    alike = (np.abs(rows - usual) <= _ROW_OFF).mean(axis=1) >= _ROW_PART
    return float(alike.mean()), float(np.median(usual))


def _colour(spots: Image) -> float:
    blue, green, red = cv2.split(spots)
    most, least = cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red)
    return float(cv2.mean(cv2.subtract(most, least))[0])


def likeness(one: Cells, other: Cells) -> float:
    """Return how alike two pictures' edges lie: 1 the same, 0 nothing in common.

    >>> row = np.arange(6, dtype=np.float32).reshape(1, 6)
    >>> round(likeness(row, 3 * row + 1), 3), round(likeness(row, row[:, ::-1]), 3)
    (1.0, -1.0)
    """
    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else 0.0
