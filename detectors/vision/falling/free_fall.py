"""Free fall seen in perspective: fits of y = (a + b·s)/(1 − c·s) with s = v₀·t + g·t²/2 to a track.

Uncalibrated, g is 9.81 m/s² and a, b, c, v₀ are fitted within what cameras and falls can be: so a true fall gives its
scale in metres away, and a path that is no fall misses the curve. Calibrated, heights are metres and g is measured.
"""

from __future__ import annotations

import msgspec
import numpy as np

from detectors.vision.geometry.perspective import Floats, Perspective

GRAVITY_MS2 = 9.81

# A fall first seen at this speed has 52 m behind it; above that an object nears its terminal velocity anyway.
MAX_FIRST_SPEED_MS = 32.0
# Tossed up a little before it falls: at 3 m/s by half a metre.
MIN_FIRST_SPEED_MS = -3.0
# How much nearer (in depth) the end of a fall may be than its start: a camera 10 m from a 100 m tower sees 0.9.
MAX_APPROACH = 0.9

# Sightings further than this many robust standard deviations from the curve are other blobs, not the object.
OUTLIER_SIGMAS = 3.5
MAX_OUTLIER_PART = 0.2
MIN_SIGHTINGS = 8  # the curve has four unknowns; as many sightings again must agree with it


class FallFit(msgspec.Struct, frozen=True, kw_only=True):
    """A free-fall curve through a track.

    ``first_speed_ms`` is v₀, downwards positive. ``drop_m`` is the way from first to last sighting. ``px_per_m`` is the
    vertical scale at the last sighting. ``error_px`` is the RMS distance of the rows, ``sideways_error_px`` of the
    columns, both corrected for the unknowns spent. ``bend_px`` is how far the curve hangs below its chord half-way:
    what an error must be small against. ``rest_row_px`` is where the object would have been at rest.
    """

    gravity_ms2: float
    gravity_error_ms2: float
    first_speed_ms: float
    first_speed_error_ms: float
    drop_m: float
    drop_error_m: float
    sideways_ms: float
    px_per_m: float
    error_px: float
    sideways_error_px: float
    bend_px: float
    rest_row_px: float
    rest_height_m: float | None
    rest_error_m: float | None


class SightingPath(msgspec.Struct, frozen=True):
    """A track's sightings: times (N,) s from the first, columns and rows (N,) px from the picture's centre, y down."""

    t_s: Floats
    x_px: Floats
    y_px: Floats

    def only(self, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> SightingPath:
        """Return the sightings marked in ``keep``; times stay those of the whole track."""
        return SightingPath(self.t_s[keep], self.x_px[keep], self.y_px[keep])


# --- uncalibrated -----------------------------------------------------------------------------------------------------


class _Curves(msgspec.Struct, frozen=True):
    """Least-squares curves for a grid of (v₀, approach): arrays (M,)."""

    speed_ms: Floats
    approach: Floats
    a: Floats
    b: Floats
    c: Floats
    drop_m: Floats
    cost_px2: Floats


def _curves(path: SightingPath, speed_ms: Floats, approach: Floats) -> _Curves:
    t = path.t_s[None, :] - path.t_s[0]
    s = speed_ms[:, None] * t + 0.5 * GRAVITY_MS2 * t**2
    drop = np.maximum(s[:, -1], 0.01)  # tossed up and not yet down again: no fall, and no division by zero
    c = approach / drop
    # y = a·(1/d) + b·(s/d) is linear in a and b once v₀ and c are chosen: normal equations, all cells at once
    p = 1.0 / (1.0 - c[:, None] * s)
    r = s * p
    y = path.y_px[None, :]
    pp, pr, rr = (p * p).sum(1), (p * r).sum(1), (r * r).sum(1)
    py, ry = (p * y).sum(1), (r * y).sum(1)
    det = np.maximum(pp * rr - pr * pr, 1e-12)
    a, b = (rr * py - pr * ry) / det, (pp * ry - pr * py) / det
    miss = a[:, None] * p + b[:, None] * r - y
    falls = (b + a * c > 0) & (s[:, -1] > 0)  # rows must grow with the way fallen
    cost = np.where(falls, (miss**2).mean(1), np.inf)
    return _Curves(speed_ms, approach, a, b, c, drop, cost)


_SPEEDS = np.array(
    [MIN_FIRST_SPEED_MS, -1.5, 0.0, 0.7, 1.5, 2.5, 4.0, 6.0, 8.5, 11.0, 14.0, 18.0, 22.0, 27.0, MAX_FIRST_SPEED_MS]
)
_APPROACHES = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.78, 0.85, MAX_APPROACH])
_GRID = np.meshgrid(_SPEEDS, _APPROACHES, indexing="ij")
_STEPS = np.linspace(-1.0, 1.0, 5)


def _best_curve(path: SightingPath) -> tuple[_Curves, int, _Curves]:
    """Return the best curve (arrays and index) and the coarse grid it was refined from."""
    coarse = found = _curves(path, _GRID[0].ravel(), _GRID[1].ravel())
    best = int(np.argmin(found.cost_px2))
    step_ms, step_part = 2.0, 0.1
    for _ in range(4):
        near = np.meshgrid(
            np.clip(found.speed_ms[best] + step_ms * _STEPS, MIN_FIRST_SPEED_MS, MAX_FIRST_SPEED_MS),
            np.clip(found.approach[best] + step_part * _STEPS, 0.0, MAX_APPROACH),
        )
        found = _curves(path, near[0].ravel(), near[1].ravel())
        best = int(np.argmin(found.cost_px2))
        step_ms, step_part = step_ms * 0.5, step_part * 0.5
    return found, best, coarse


def _fallen(path: SightingPath, speed_ms: float) -> Floats:
    t = path.t_s - path.t_s[0]
    return np.asarray(speed_ms * t + 0.5 * GRAVITY_MS2 * t**2)


def _rows(curves: _Curves, k: int, path: SightingPath) -> Floats:
    s = _fallen(path, float(curves.speed_ms[k]))
    return np.asarray((curves.a[k] + curves.b[k] * s) / (1.0 - curves.c[k] * s))


def fit_uncalibrated(whole: SightingPath) -> FallFit | None:
    """Return the best free fall through ``whole`` for an unknown camera; None with too few sightings."""
    if len(whole.t_s) < MIN_SIGHTINGS:
        return None
    curves, k, coarse = _best_curve(whole)
    keep = _inliers(whole.y_px - _rows(curves, k, whole))
    path = whole.only(keep)
    if len(path.t_s) < MIN_SIGHTINGS:
        return None
    curves, k, coarse = _best_curve(path)
    return _describe(curves, k, coarse, path)


def _describe(curves: _Curves, k: int, coarse: _Curves, path: SightingPath) -> FallFit:
    a, b, c, v0, drop = (float(v[k]) for v in (curves.a, curves.b, curves.c, curves.speed_ms, curves.drop_m))
    cost = float(curves.cost_px2[k])
    scale = (b + a * c) / (1.0 - c * drop) ** 2
    sideways_px_s, sideways_error = _sideways(path, 1.0 / (1.0 - c * _fallen(path, v0)))
    rest_s = -v0 * abs(v0) / (2.0 * GRAVITY_MS2)
    speed_error, drop_error = _spread(coarse, cost, v0, drop)
    return FallFit(
        gravity_ms2=GRAVITY_MS2,
        gravity_error_ms2=0.0,
        first_speed_ms=v0,
        first_speed_error_ms=speed_error,
        drop_m=drop,
        drop_error_m=drop_error,
        sideways_ms=abs(sideways_px_s) / max(scale, 1e-6),
        px_per_m=scale,
        error_px=_honest(cost**0.5, len(path.t_s), 4),
        sideways_error_px=sideways_error,
        bend_px=_bend(_rows(curves, k, path), path.t_s),
        rest_row_px=(a + b * rest_s) / (1.0 - c * rest_s),
        rest_height_m=None,
        rest_error_m=None,
    )


def _honest(error_px: float, sightings: int, unknowns: int) -> float:
    """Return the RMS error a curve would have on sightings it was not fitted to."""
    return float(error_px * np.sqrt(sightings / max(sightings - unknowns, 1)))


def _bend(rows_px: Floats, t_s: Floats) -> float:
    middle = float(np.interp((t_s[0] + t_s[-1]) / 2, t_s, rows_px))
    return float(rows_px[0] + rows_px[-1]) / 2 - middle


def _spread(coarse: _Curves, cost: float, speed_ms: float, drop_m: float) -> tuple[float, float]:
    """Return how far v₀ and the drop may be off: over the coarse curves within 1.5 times the best error (+ 0.5 px)."""
    alike = coarse.cost_px2 <= (1.5 * cost**0.5 + 0.5) ** 2
    if not alike.any():
        return 0.0, 0.0
    return (
        float(np.max(np.abs(coarse.speed_ms[alike] - speed_ms))),
        float(np.max(np.abs(coarse.drop_m[alike] - drop_m))),
    )


def _sideways(path: SightingPath, nearness: Floats) -> tuple[float, float]:
    """Fit sideways speed (px/s at the end) and RMS error of x = (x₀ + u·t)·p: straight in the world, p = nearness."""
    t = path.t_s - path.t_s[0]
    columns = np.stack([nearness, t * nearness], axis=1)
    solved, *_ = np.linalg.lstsq(columns, path.x_px, rcond=None)
    miss = columns @ solved - path.x_px
    return float(solved[1] * nearness[-1]), _honest(float(np.sqrt((miss**2).mean())), len(t), 2)


def _inliers(miss_px: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    sigma = max(1.4826 * float(np.median(np.abs(miss_px))), 0.7)
    keep: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.abs(miss_px) <= OUTLIER_SIGMAS * sigma
    allowed = np.ceil(MAX_OUTLIER_PART * len(miss_px))
    if (~keep).sum() > allowed:  # not a few strays but another curve
        return np.ones(len(miss_px), dtype=np.bool_)
    return keep


# --- calibrated -------------------------------------------------------------------------------------------------------


def fit_calibrated(whole: SightingPath, perspective: Perspective, centre_row_px: float) -> FallFit | None:
    """Return the free fall through ``whole`` with heights known: g is measured. None when it leaves the wall."""
    heights = perspective.height_m(whole.y_px + centre_row_px)
    if len(heights) < MIN_SIGHTINGS or not np.all(np.isfinite(heights)):
        return None
    keep = _inliers(_parabola(whole.t_s, heights, perspective)[2])
    path, heights = whole.only(keep), heights[keep]
    if len(heights) < MIN_SIGHTINGS:
        return None
    solution, covariance, miss = _parabola(path.t_s, heights, perspective)
    h0, v0, half_g = (float(value) for value in solution)  # plain numbers: they end in an event
    first_s = float(path.t_s[0])
    at_start = h0 - v0 * first_s - half_g * first_s**2
    speed = v0 + 2.0 * half_g * first_s
    scales = perspective.px_per_m(heights)
    sigma_v, sigma_g = float(covariance[1, 1]) ** 0.5, 2.0 * float(covariance[2, 2]) ** 0.5
    rest_height = at_start + max(speed, 0.0) ** 2 / (2.0 * GRAVITY_MS2)
    rest_error = abs(speed) / GRAVITY_MS2 * sigma_v + float(covariance[0, 0]) ** 0.5
    sideways_px_s, sideways_error = _sideways(path, 1.0 / (1.0 + perspective.c * heights))
    return FallFit(
        gravity_ms2=float(2.0 * half_g),
        gravity_error_ms2=sigma_g,
        first_speed_ms=float(speed),
        first_speed_error_ms=sigma_v,
        drop_m=float(heights[0] - heights[-1]),
        drop_error_m=float(np.hypot(1.0 / scales[0], 1.0 / scales[-1])),
        sideways_ms=abs(sideways_px_s) / float(scales[-1]),
        px_per_m=float(scales[-1]),
        error_px=_honest(float(np.sqrt((miss**2).mean())), len(heights), 3),
        sideways_error_px=sideways_error,
        bend_px=_bend(path.y_px, path.t_s),
        rest_row_px=float(perspective.row_px(np.array([rest_height]))[0]) - centre_row_px,
        rest_height_m=float(rest_height),
        rest_error_m=float(rest_error),
    )


def _parabola(t_s: Floats, heights_m: Floats, perspective: Perspective) -> tuple[Floats, Floats, Floats]:
    """Fit (h₀, v₀, g/2), their covariance, and the misses in px: least squares with errors equal in px, not metres."""
    scales = perspective.px_per_m(heights_m)
    columns = np.stack([np.ones_like(t_s), -t_s, -(t_s**2)], axis=1) * scales[:, None]
    solved, *_ = np.linalg.lstsq(columns, heights_m * scales, rcond=None)
    miss = columns @ solved - heights_m * scales
    variance = max(float((miss**2).sum()) / max(len(t_s) - 3, 1), 0.25)
    covariance = np.linalg.pinv(columns.T @ columns) * variance
    return np.asarray(solved), np.asarray(covariance), np.asarray(miss)
