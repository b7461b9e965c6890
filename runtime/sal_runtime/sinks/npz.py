"""All maps of a run in one ``.npz``, written as they come so that a long video needs no memory."""

from __future__ import annotations

import contextlib
import io
import shutil
import zipfile
from array import array
from pathlib import Path

import numpy as np

from sal_runtime import atomic
from sal_runtime.errors import OutputError
from sal_runtime.sinks import Result


class NpzFile:
    """``saliency`` float32 [N, H, W], ``timestamp`` float64 [N] in seconds, ``index`` int64 [N] in the source."""

    def __init__(self, path: Path, exist_ok: bool) -> None:
        if path.suffix != ".npz":
            raise OutputError(f"{path}: the name must end in .npz")
        self.path: Path | None = path
        self._final = path
        self._partial = atomic.claim(path, exist_ok)
        self._raw = self._partial.with_suffix(".raw")
        self._shape: tuple[int, ...] = (0, 0)
        self._times = array("d")
        self._indices = array("q")
        with atomic.writing(path):
            self._file = self._raw.open("wb")

    def write(self, result: Result) -> None:
        """Append one map."""
        self._shape = result.saliency.shape
        with atomic.writing(self._final):
            self._file.write(np.ascontiguousarray(result.saliency, np.float32).data)
        self._times.append(result.frame.timestamp)
        self._indices.append(result.frame.index)

    def finish(self) -> None:
        """Pack the maps."""
        shape = (len(self._times), *self._shape)
        with atomic.writing(self._final):
            self._file.close()
            with zipfile.ZipFile(self._partial, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                with archive.open("saliency.npy", "w", force_zip64=True) as entry:
                    entry.write(_npy_header(shape))
                    with self._raw.open("rb") as raw:
                        shutil.copyfileobj(raw, entry, 1 << 20)
                for name, values in (
                    ("timestamp", np.array(self._times)),
                    ("index", np.array(self._indices, np.int64)),
                ):
                    with archive.open(f"{name}.npy", "w") as entry:
                        np.lib.format.write_array(entry, values)

    def publish(self) -> None:
        """Let the file appear."""
        atomic.publish(self._partial, self._final)
        self.discard()

    def discard(self) -> None:
        """Remove what was written aside."""
        with contextlib.suppress(OSError):  # a full disk refuses the last flush of what is given up anyway
            self._file.close()
        atomic.discard(self._raw)
        atomic.discard(self._partial)


def _npy_header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()
