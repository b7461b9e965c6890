"""Names for the arrays that pass between the parts."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [H, W, 3] in BGR order, as OpenCV delivers a frame; [B, H, W, 3] where a batch is spoken of."""

Floats: TypeAlias = npt.NDArray[np.float32]
"""float32: a saliency map [H, W] with values 0 to 1, a state [B, C, h, w], a carry [B, 1]."""

AnyArray: TypeAlias = npt.NDArray[Any]
