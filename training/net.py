"""A small anchor-free detector in the manner of YOLOX (Ge et al. 2021): residual backbone, top-down paths, split heads.

Output per cell of the strides 8, 16, 32: (dx, dy, log w, log h, objectness, classes…), as YOLOX exports it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.labels import LABELS, STRIDES

CHANNELS = (16, 24, 48, 80, 112)
HEAD = 40


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return convolution, batch norm, ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """1×1 to half the channels, 3×3 back, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(conv(channels, channels // 2, 1), conv(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        out: Tensor = x + self.inner(x)
        return out


class Head(nn.Module):
    """One stride's boxes, objectness and classes, (B, 5 + C, H, W); scores before the sigmoid."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = conv(channels, HEAD, 1)
        self.class_path = conv(HEAD, HEAD)
        self.box_path = conv(HEAD, HEAD)
        self.classes = nn.Conv2d(HEAD, classes, 1)
        self.boxes = nn.Conv2d(HEAD, 5, 1)
        for bias in (self.classes.bias, self.boxes.bias):
            assert bias is not None
            nn.init.constant_(bias, 0.0)
        with torch.no_grad():
            self.classes.bias.fill_(-3.0)
            self.boxes.bias[4] = -4.0

    def forward(self, x: Tensor) -> Tensor:
        """Return features → raw predictions."""
        x = self.stem(x)
        return torch.cat([self.boxes(self.box_path(x)), self.classes(self.class_path(x))], dim=1)


class Detector(nn.Module):
    """BGR 0–255 (B, 3, H, W) → (B, cells, 5 + C), raw; scores before the sigmoid."""

    def __init__(self, classes: int = len(LABELS)) -> None:
        super().__init__()
        a, b, c, d, e = CHANNELS
        self.stem = nn.Sequential(conv(3, a, 3, 2), conv(a, b, 3, 2), Residual(b))
        self.stage8 = nn.Sequential(conv(b, c, 3, 2), Residual(c), Residual(c))
        self.stage16 = nn.Sequential(conv(c, d, 3, 2), Residual(d), Residual(d))
        self.stage32 = nn.Sequential(conv(d, e, 3, 2), Residual(e), Residual(e))
        self.down32, self.down16 = conv(e, d, 1), conv(d, c, 1)
        self.mix16, self.mix8 = Residual(d), Residual(c)
        self.heads = nn.ModuleList([Head(channels, classes) for channels in (c, d, e)])

    def forward(self, images: Tensor) -> Tensor:
        """Return raw predictions, cells of stride 8 first, row by row."""
        x8 = self.stage8(self.stem(images / 128.0 - 1.0))
        x16 = self.stage16(x8)
        x32 = self.stage32(x16)
        y16 = self.mix16(x16 + functional.interpolate(self.down32(x32), scale_factor=2.0, mode="nearest"))
        y8 = self.mix8(x8 + functional.interpolate(self.down16(y16), scale_factor=2.0, mode="nearest"))
        outs = [head(y).flatten(2) for head, y in zip(self.heads, (y8, y16, x32), strict=True)]
        return torch.cat(outs, dim=2).transpose(1, 2)


class Exported(nn.Module):
    """The detector with its scores after the sigmoid, as YOLOX exports."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, cells, 5 + C)."""
        raw = self.detector(images)
        return torch.cat([raw[..., :4], raw[..., 4:].sigmoid()], dim=2)


def cells_of(width: int, height: int) -> tuple[Tensor, Tensor]:
    """Return per cell its (x, y) index, (A, 2), and its stride, (A, 1), in the order of the output."""
    cells, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        cells.append(torch.stack([x.flatten(), y.flatten()], dim=1).float())
        strides.append(torch.full((x.numel(), 1), float(stride)))
    return torch.cat(cells), torch.cat(strides)


def boxes_of(raw: Tensor, cells: Tensor, strides: Tensor) -> Tensor:
    """Return raw predictions (…, A, ≥4) → boxes xyxy in px of the input (…, A, 4)."""
    centre = (raw[..., :2] + cells) * strides
    half = raw[..., 2:4].clamp(max=8.0).exp() * strides / 2
    return torch.cat([centre - half, centre + half], dim=-1)
