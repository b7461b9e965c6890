"""``python -m sal_bench.gpu_check``, or ``make gpu-check``; on a Python that may lack much of what it wants."""

from __future__ import annotations

import importlib
import importlib.util
import sys

NEEDED = {
    "numpy": "numpy", "cv2": "opencv-python-headless", "typer": "typer", "rich": "rich",
    "torch": "torch (built for CUDA)", "safetensors": "safetensors", "onnx": "onnx", "onnxscript": "onnxscript",
    "ml_dtypes": "ml-dtypes", "onnxruntime": "onnxruntime-gpu", "pydantic": "pydantic", "yaml": "PyYAML",
    "scipy": "scipy",
}  # fmt: skip
"""Module -> package; docs/gpu.md names them for machines that reach no index."""


def main() -> None:
    """Say in one sentence what is missing, or run."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        sys.stderr.write(
            f"error: {sys.executable} lacks {', '.join(missing)}: install them there, bring them along on PYTHONPATH, "
            "or name another with GPU_PYTHON\n"
        )
        sys.exit(2)
    importlib.import_module("sal_bench.gpu_check.command").main()


if __name__ == "__main__":
    main()
