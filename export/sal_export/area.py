"""OpenCV's INTER_AREA as part of a graph: two products with constant matrices, which every engine has.

A small pixel is the mean of the area that it covers, whole pixels and parts of pixels by their share. That is
separable: one matrix for the rows, one for the columns. The result is rounded to whole grey levels, as OpenCV's is, so
that the network sees what it would have seen; where a mean lies half way between two levels the two may choose
differently.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sal_runtime.manifest import Manifest


class AreaResize(nn.Module):
    """uint8 [B, H_frame, W_frame, 3] to float [B, H, W, 3] with whole values 0 to 255."""

    rows: Tensor
    columns: Tensor

    def __init__(self, manifest: Manifest) -> None:
        super().__init__()
        height, width = manifest.frame_size
        self.register_buffer("rows", area_weights(height, manifest.height))
        self.register_buffer("columns", area_weights(width, manifest.width))
        self._sizes = (height, width, manifest.height, manifest.width)

    def forward(self, frame: Tensor) -> Tensor:
        """Rows first, which shrinks the picture most for the fewest multiplications."""
        _, width, low, narrow = self._sizes
        x = frame.float().flatten(2)  # B, H_frame, W_frame * 3
        x = torch.matmul(self.rows, x).reshape(-1, low, width, 3)
        return torch.matmul(self.columns, x).reshape(-1, low, narrow, 3).round()


def area_weights(large: int, small: int) -> Tensor:
    """float32 [small, large]: row i holds each large pixel's share in the i-th small one, summing to 1."""
    weights = torch.zeros(small, large, dtype=torch.float64)
    scale = large / small
    for index in range(small):
        begin, end = index * scale, (index + 1) * scale
        for pixel in range(math.floor(begin), min(large, math.ceil(end - 1e-9))):
            weights[index, pixel] = max(0.0, min(end, pixel + 1) - max(begin, pixel))
    return (weights / weights.sum(dim=1, keepdim=True)).float()
