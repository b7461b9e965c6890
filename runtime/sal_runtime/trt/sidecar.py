"""``NAME.engine.json``: what an engine is, since an engine has no room to say it, and whether it may be loaded here.

An engine is machine code for one GPU and one TensorRT. It is checked before it is deserialised, and refused with the
command that makes it anew. Load only engines that you trust, as with any program.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sal_runtime.errors import ArtifactError, BackendError
from sal_runtime.gpu import Gpu
from sal_runtime.manifest import Manifest
from sal_runtime.trt.library import NAMES, Library
from sal_runtime.trt.options import BuildOptions

VERSION = 1
"""The version of the record that this code writes and the only one it reads."""


@dataclass(frozen=True)
class EngineRecord:
    """Where an engine came from and what it fits."""

    manifest: Manifest
    """Of the artifact that it was built from."""
    onnx: str
    """That artifact's file name."""
    onnx_sha256: str
    made_by: tuple[str, ...]
    """The command that made it, as words, without its output."""
    engine_sha256: str
    library: str
    """``tensorrt`` or ``tensorrt_rtx``."""
    library_version: str
    gpu: dict[str, str] | None
    """Name, compute capability and CUDA version of the driver; None where it was built without a GPU (RTX can)."""
    options: BuildOptions
    """How it was built."""
    profiles: tuple[tuple[int, int, int], ...]
    """Batches: least, best, largest; empty where the batch is fixed."""
    built: str
    """Date and time in UTC, ISO 8601."""
    seconds: float
    """How long that took."""

    def to_json(self) -> str:
        """The record as one JSON document."""
        raw = dataclasses.asdict(self)
        raw["manifest"] = json.loads(self.manifest.to_json())
        return json.dumps({"sal_edge_engine": VERSION, **raw}, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> EngineRecord:
        """Read back what :meth:`to_json` wrote; ``where`` names the file in messages.

        Raises:
            ArtifactError: it is no such record, or of another version.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            found = raw.pop("sal_edge_engine")
        except (ValueError, KeyError, AttributeError, TypeError) as exc:
            raise ArtifactError(f"{where}: not the record of an engine of sal-edge; build the engine again") from exc
        if found != VERSION:
            raise ArtifactError(f"{where}: record version {found!r} is not {VERSION}; build the engine again")
        try:
            manifest = Manifest.from_json(json.dumps(raw.pop("manifest")), where)
            options = raw.pop("options")
            options["profiles"] = _profiles(options["profiles"])
            profiles, made_by = _profiles(raw.pop("profiles")), raw.pop("made_by")
            if not isinstance(made_by, list):
                raise TypeError("the command is no list of words")
            asked = BuildOptions(**options)
            record = cls(manifest=manifest, options=asked, profiles=profiles, made_by=tuple(made_by), **raw)
            record.check()
            return record
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            raise ArtifactError(f"{where}: lacks or mistakes a field ({exc}); build the engine again") from exc

    def check(self) -> None:
        """Refuse what no build writes, since a record is a file that anybody may have edited.

        Raises:
            ValueError, TypeError: the text says what.
        """
        if self.library not in NAMES:
            raise ValueError(f"there is no library {self.library!r}")
        if not isinstance(self.onnx, str) or Path(self.onnx).name != self.onnx:
            raise ValueError(f"{self.onnx!r} is no file name")
        if self.gpu is not None and set(self.gpu) != {field.name for field in dataclasses.fields(Gpu)}:
            raise ValueError("the GPU is not described")
        if self.made_by[:1] != ("sal-export",):
            raise ValueError("it is another command that made it")
        texts = (self.library_version, self.onnx_sha256, self.engine_sha256, *(self.gpu or {}).values(), *self.made_by)
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"{text!r} is no text")

    def rebuild(self, engine: Path) -> str:
        """The command that builds the engine anew: from the artifact beside it where there is one."""
        onnx = engine.with_name(self.onnx)
        words = self.made_by
        if onnx.is_file():
            words = build_command(onnx, self.library, self.options, self._device())
        return shlex.join([*words, "-o", str(engine), "--exist-ok"])

    def _device(self) -> tuple[str, ...]:
        """The words that named the GPU and what handles it."""
        found: tuple[str, ...] = ()
        for flag in ("--device", "--device-api"):
            if flag in self.made_by:
                at = self.made_by.index(flag)
                found += self.made_by[at : at + 2]
        return found


def build_command(onnx: Path, library: str, options: BuildOptions, device: Sequence[str] = ()) -> tuple[str, ...]:
    """The words of the command that builds an engine from an artifact; ``device`` are those that name the GPU."""
    target = ("--target", "tensorrt-rtx") if library == "tensorrt_rtx" else ()
    return ("sal-export", str(onnx), "--format", "engine", *target, *options.flags(), *device)


def record_path(engine: Path) -> Path:
    """Where an engine's record lies: beside it, its name with ``.json`` behind."""
    return engine.with_name(engine.name + ".json")


def read_record(engine: Path) -> EngineRecord:
    """The record beside an engine.

    Raises:
        ArtifactError: there is none, or it is not understood.
    """
    path = record_path(engine)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise ArtifactError(
            f"{engine}: an engine needs its record {path.name} beside it; copy both, or build it with sal-export"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ArtifactError(f"{path}: cannot be read ({exc})") from exc
    return EngineRecord.from_json(text, str(path))


def verify(record: EngineRecord, engine: Path, data: bytes, library: Library, gpu: Gpu | None) -> None:
    """Hold an engine against its record, and both against what is here.

    Args:
        record: from beside it.
        engine: the file, for messages.
        data: its bytes.
        library: what would load it.
        gpu: what would run it; None leaves that question out.

    Raises:
        ArtifactError: the file is not the one the record speaks of, or the artifact beside it is another by now.
        BackendError: it was built for another TensorRT or another GPU.
    """
    again = f"build it again: {record.rebuild(engine)}"
    if digest(data) != record.engine_sha256:
        raise ArtifactError(f"{engine}: is not the engine that its record speaks of (damaged, or replaced); {again}")
    origin = engine.with_name(record.onnx)
    if origin.is_file() and digest(origin.read_bytes()) != record.onnx_sha256:
        raise ArtifactError(f"{engine}: was built from another {record.onnx} than the one beside it; {again}")
    same = (record.library, record.library_version) == (library.name, library.version)
    if not same and not (record.options.version_compatible and _later(record, library)):
        raise BackendError(
            f"{engine}: was built by {record.library} {record.library_version}, here is {library.name} "
            f"{library.version}; {again}"
        )
    if gpu is None or record.gpu is None or library.rtx or record.options.hardware_compatible:
        return
    built = Gpu(**record.gpu)
    if (built.name, built.capability) != (gpu.name, gpu.capability):
        raise BackendError(
            f"{engine}: was built for {built.name} (compute capability {built.capability}), here is {gpu.name} "
            f"({gpu.capability}); {again}"
        )


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _later(record: EngineRecord, library: Library) -> bool:
    """Whether ``library`` is the same one as built the engine, or a later version of it."""

    def numbers(version: str) -> list[int]:
        return [int(part) for part in version.split(".")[:3] if part.isdigit()]

    return record.library == library.name and numbers(library.version) >= numbers(record.library_version)


def _profiles(raw: Any) -> tuple[tuple[int, int, int], ...]:
    return tuple((int(least), int(best), int(most)) for least, best, most in raw)
