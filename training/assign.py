"""Which cells learn which object (SimOTA, Ge et al. 2021), and the loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.net import boxes_of

CENTRE_RADIUS = 2.0
"""Candidates lie within this many cells of an object's middle."""
_FAR = 1e5


class Targets(NamedTuple):
    """One picture: boxes xyxy (G, 4) px, classes (G,), and boxes (I, 4) in which nothing is learned about presence."""

    boxes: Tensor
    classes: Tensor
    ignored: Tensor


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union of (N, 4) and (M, 4): (N, M)."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = (high - low).clamp(min=0).prod(dim=2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(dim=1), (b[:, 2:] - b[:, :2]).prod(dim=1)
    return inner / (area_a[:, None] + area_b[None] - inner + 1e-6)


def assign(raw: Tensor, cells: Tensor, strides: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Return cells that learn an object, the object each learns, and the overlap each has now: (P,), (P,), (P,)."""
    boxes = boxes_of(raw, cells, strides)
    centres = (cells + 0.5) * strides
    middle = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2
    near = ((centres[None] - middle[:, None]).abs() < CENTRE_RADIUS * strides[None]).all(dim=2)
    inside = ((centres[None] > targets.boxes[:, None, :2]) & (centres[None] < targets.boxes[:, None, 2:])).all(dim=2)
    iou = pairwise_iou(targets.boxes, boxes)
    joint = (raw[:, 5:].sigmoid() * raw[:, 4:5].sigmoid()).clamp(1e-6, 1 - 1e-6).sqrt()
    wanted = functional.one_hot(targets.classes, raw.shape[1] - 5).float()
    class_cost = functional.binary_cross_entropy(
        joint[None].expand(len(wanted), -1, -1), wanted[:, None].expand(-1, len(raw), -1), reduction="none"
    ).sum(dim=2)
    cost = class_cost - 3.0 * (iou + 1e-8).log() + _FAR * (~(near & inside)) + _FAR * _FAR * (~(near | inside))
    matched = torch.zeros_like(cost, dtype=torch.bool)
    take = iou.topk(min(10, iou.shape[1]), dim=1).values.sum(dim=1).int().clamp(min=1, max=10)
    for index, count in enumerate(take.tolist()):
        matched[index, cost[index].topk(count, largest=False).indices] = True
    matched &= near | inside
    crowded = matched.sum(dim=0) > 1
    best = cost[:, crowded].argmin(dim=0)
    matched[:, crowded] = False
    matched[best, crowded.nonzero().flatten()] = True
    positive = matched.any(dim=0).nonzero().flatten()
    owner = matched[:, positive].float().argmax(dim=0)
    return positive, owner, iou[owner, positive]


def loss_of(raw: Tensor, cells: Tensor, strides: Tensor, batch: list[Targets]) -> Tensor:
    """Return the loss of a batch, (B, A, 5 + C): overlap, presence, class; per object cell."""
    box_loss, class_loss = raw.new_zeros(()), raw.new_zeros(())
    presence, weight = torch.zeros_like(raw[..., 4]), torch.ones_like(raw[..., 4])
    count = 0
    for index, targets in enumerate(batch):
        _mute(weight[index], cells, strides, targets.ignored)
        if not len(targets.boxes):
            continue
        with torch.no_grad():
            positive, owner, iou = assign(raw[index], cells, strides, targets)
        count += len(positive)
        presence[index, positive] = 1.0
        weight[index, positive] = 1.0
        mine = raw[index, positive]
        box_loss = box_loss + _box_loss(boxes_of(mine, cells[positive], strides[positive]), targets.boxes[owner])
        wanted = functional.one_hot(targets.classes[owner], raw.shape[2] - 5).float() * iou[:, None]
        class_loss = class_loss + functional.binary_cross_entropy_with_logits(mine[:, 5:], wanted, reduction="sum")
    present = functional.binary_cross_entropy_with_logits(raw[..., 4], presence, weight, reduction="sum")
    return (5.0 * box_loss + present + class_loss) / max(1, count)


def _box_loss(boxes: Tensor, wanted: Tensor) -> Tensor:
    """Return 1 - generalised IoU, summed over pairs (P, 4)."""
    low, high = torch.maximum(boxes[:, :2], wanted[:, :2]), torch.minimum(boxes[:, 2:], wanted[:, 2:])
    inner = (high - low).clamp(min=0).prod(dim=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (wanted[:, 2:] - wanted[:, :2]).prod(dim=1) - inner + 1e-6
    outer = torch.maximum(boxes[:, 2:], wanted[:, 2:]) - torch.minimum(boxes[:, :2], wanted[:, :2])
    hull = outer.prod(dim=1) + 1e-6
    return (1 - inner / union + (hull - union) / hull).sum()


def _mute(weight: Tensor, cells: Tensor, strides: Tensor, ignored: Tensor) -> None:
    centres = (cells + 0.5) * strides
    for box in ignored:
        weight[((centres > box[:2]) & (centres < box[2:])).all(dim=1)] = 0.0
