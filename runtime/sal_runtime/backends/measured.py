"""What the engines were measured to take for a frame, on which processors: the table behind every ``auto``.

``measured.json`` holds one row for each processor, network, precision, fold and engine. It is made, not written:
``python -m sal_bench.folds --update`` measures on the machine it runs on and replaces that machine's rows.
"""

from __future__ import annotations

import functools
import json
import platform
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("measured.json")

_KINDS = (
    ("x86 amx", {"amx_int8", "amx_bf16"}),
    ("x86 avx512-bf16", {"avx512_bf16", "avx512_vnni"}),
    ("x86 avx512-vnni", {"avx512_vnni"}),
    ("x86 avx512", {"avx512f"}),
    ("x86 avx2", {"avx2"}),
)
"""Kinds of x86 processors by what decides an engine's speed, the best first."""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    processor: str
    """From :func:`processor_kind`."""
    network: str
    """The architecture: ``salgan`` (the paper's) or ``compact``."""
    precision: str
    """What the engine computed in: ``fp32``, ``bf16`` or ``int8``."""
    fold: str
    """Form of the upsampling fold."""
    engine: str
    """``onnxruntime`` or ``openvino``."""
    ms: float
    """Median milliseconds a frame, closed loop."""
    spread: float
    """Half the distance between the quartiles, in milliseconds."""


@functools.cache
def rows() -> tuple[Row, ...]:
    """All measurements."""
    return tuple(Row(**row) for row in json.loads(TABLE.read_text(encoding="utf-8"))["rows"])


def computed_in(precision: str) -> str:
    """What an artifact of that precision is computed in on a CPU: fp16 is in fp32."""
    return "fp32" if precision == "fp16" else precision


def rows_for(network: str | None, precision: str, processor: str) -> tuple[list[Row], str]:
    """The measurements that speak for a network on a processor, and on which kind of processor they were taken.

    Where none were taken on its own kind, those of the nearest kind of x86 are; for other families the list is empty.
    """
    fitting = [row for row in rows() if (row.network, row.precision) == (network, precision)]
    own = [row for row in fitting if row.processor == processor]
    if own:
        return own, processor
    order = [name for name, _ in _KINDS]
    family = sorted(
        {row.processor for row in fitting if row.processor in order and processor in order},
        key=lambda kind: abs(order.index(kind) - order.index(processor)),
    )
    return ([row for row in fitting if row.processor == family[0]], family[0]) if family else ([], "")


@functools.cache
def processor_kind() -> str:
    """The kind of this machine's processor, such as ``x86 avx512-bf16`` or ``aarch64``."""
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64"):
        return machine or "unknown"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "x86"
    flags = set(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), []))
    return next((kind for kind, needed in _KINDS if needed <= flags), "x86")
