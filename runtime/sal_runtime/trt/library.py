"""The TensorRT that is installed, its log, and its types in NumPy's words."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

from sal_runtime.errors import BackendError, MissingDependency

NAMES = ("tensorrt", "tensorrt_rtx")
"""Modules that are looked for, the first that is installed taken."""

_TYPES = {
    "FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "FP8": "float8", "INT8": "int8", "UINT8": "uint8",
    "INT32": "int32", "INT64": "int64", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class Library:
    """An imported TensorRT."""

    module: Any
    """``tensorrt`` or ``tensorrt_rtx``; both have the same names. Untyped, since annotations differ by version."""
    name: str
    """Its module's name."""
    version: str
    """Its own version."""

    @property
    def rtx(self) -> bool:
        """Whether it is TensorRT for RTX, whose engines are compiled for the card where they are loaded."""
        return self.name == "tensorrt_rtx"

    def log(self) -> Any:
        """A fresh ``ILogger`` that keeps errors in ``.errors`` and prints nothing."""
        trt = self.module

        class Log(trt.ILogger):  # type: ignore[misc, name-defined]
            """Keeps what went wrong."""

            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.errors: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                """Called from any of TensorRT's threads."""
                if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                    self.errors.append(message)

        return Log()

    def type_name(self, kind: Any) -> str:
        """NumPy's name of a ``DataType``."""
        return _TYPES.get(kind.name, str(kind.name).lower())


def load_library(wanted: str = "tensorrt") -> Library:
    """The library to build and run with.

    Args:
        wanted: ``tensorrt`` takes either, TensorRT itself first; ``tensorrt_rtx`` that one only.

    Raises:
        MissingDependency: none is installed; the message says what to install.
        BackendError: one is installed and cannot be loaded.
    """
    for name in NAMES[NAMES.index(wanted) :]:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name is not None and exc.name.split(".")[0].startswith("tensorrt"):
                continue
            raise
        except (ImportError, OSError, RuntimeError) as exc:
            raise BackendError(f"{name} is installed but cannot be loaded: {str(exc).splitlines()[0]}") from exc
        return Library(module, name, str(module.__version__))
    extra = "rtx" if wanted == "tensorrt_rtx" else "tensorrt"
    raise MissingDependency(
        f"{wanted} is not installed: pip install 'sal-edge[{extra}]' (in a checkout: pip install -e '.[{extra}]')"
        + ("; for a desktop RTX card 'sal-edge[rtx]'; on a Jetson it comes with JetPack" if extra != "rtx" else "")
    )


def plain_words(message: str) -> str:
    """The part of a message of TensorRT's that a user can act on: without its own source lines and error codes."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and "cudaError 35" not in line]
    usage = [found for line in lines if (found := re.search(r"Error Code \d+: [\w ]+ \((.*)\)$", line))]
    text = usage[0][1] if usage else (lines[-1] if lines else message.strip())
    text = re.sub(r"\.? In \w+ at \S+$", "", text)
    text = re.sub(r"^(?:[\w.:]+: )?Error Code \d+: ", "", text)
    return text.strip()[:300]


def last_error(log: Any, otherwise: str) -> str:
    """What a log has kept, in a line; ``otherwise`` where it kept nothing."""
    told = [plain_words(text) for text in log.errors if "cudaError 35" not in text]
    return told[-1] if told else plain_words(log.errors[-1]) if log.errors else otherwise
