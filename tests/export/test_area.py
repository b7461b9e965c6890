"""INTER_AREA in the graph: shares worked out on paper, and OpenCV's own result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sal_export.area import AreaResize, area_weights
from sal_runtime import Engine
from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest, TensorSpec
from sal_runtime.vision import cv2
from tiny import ema_manifest, grey, write_ema_artifact


def test_shares_of_pixels() -> None:
    assert area_weights(4, 2).tolist() == [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    thirds = area_weights(3, 2)
    np.testing.assert_allclose(thirds, [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], atol=1e-7)
    assert area_weights(1080, 192).sum(dim=1).numpy() == pytest.approx(np.ones(192), abs=1e-5)


def resizing(large: tuple[int, int], small: tuple[int, int]) -> Manifest:
    manifest = ema_manifest(height=small[0], width=small[1])
    return Manifest(**{**vars(manifest), "frame": TensorSpec("frame", "uint8", (1, *large, 3)), "resizes": True})


@pytest.mark.parametrize("large", [(360, 640), (720, 1280), (1080, 1920), (200, 333)])
def test_it_is_opencvs_result_but_for_ties(large: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*large, 3), np.uint8)
    own = AreaResize(resizing(large, (192, 256)))(torch.from_numpy(picture)[None])[0].numpy()
    expected = cv2.resize(picture, (256, 192), interpolation=cv2.INTER_AREA).astype(np.float32)
    assert own.shape == expected.shape
    assert np.abs(own - expected).max() <= 1.0
    assert (own != expected).mean() < 0.002


def test_a_session_refuses_frames_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_ema_artifact(path, resizes=True)
    session = Engine.open(path, backend="onnxruntime").stream()
    session.step(grey(3))
    with pytest.raises(
        InputError, match=r"takes frames of 32x16 .*, not of 64x48; export one with --device-resize 48 64"
    ):
        session.step(grey(3, 48, 64))
