"""A few steps of an artifact in TensorRT: what runs under compute-sanitizer."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from sal_runtime.backends import Options, open_backend


def main(artifact: str, name: str, device_api: str) -> None:
    """Three steps, a restart among them, and a clean end."""
    backend = open_backend(Path(artifact), name, Options(device="cuda", device_api=device_api))
    stream = backend.stream(1)
    frame = backend.manifest.frame.zeros(1)
    for carry in (0.0, backend.manifest.normal_carry, 0.0):
        stream.step(frame, np.full((1, 1), carry, np.float32))
    stream.close()
    backend.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
