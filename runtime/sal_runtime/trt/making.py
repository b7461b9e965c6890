"""Engines as files: built from an artifact with their record beside them, and kept in a cache for the next start."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sal_runtime.atomic import aside, locked
from sal_runtime.backends import OnBuild, silent
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.errors import NoGpu, OutputError, SalError
from sal_runtime.folders import cache_folder
from sal_runtime.gpu import Gpu, open_queue
from sal_runtime.trt.building import build_engine
from sal_runtime.trt.library import Library
from sal_runtime.trt.options import BuildOptions, profiles_of
from sal_runtime.trt.sidecar import EngineRecord, build_command, digest, read_record, record_path


def make_engine(
    onnx: Path,
    engine: Path,
    library: Library,
    gpu: Gpu | None,
    options: BuildOptions | None = None,
    exist_ok: bool = False,
    on_phase: OnBuild = silent,
    made_by: Sequence[str] = (),
) -> EngineRecord:
    """Build ``engine`` from ``onnx``; its record appears just before it, and neither before both are whole.

    Args:
        onnx: an artifact.
        engine: the file to be, ending in ``.engine``.
        library: what builds it.
        gpu: what it is built for, whose context is current; None where there is none, which RTX can do without.
        options: how.
        exist_ok: whether files that exist are replaced.
        on_phase: told of progress.
        made_by: the command that makes it, without its output, where that is another than building it from ``onnx``.

    Raises:
        SalError: the artifact, its graph, or the place of the files.
    """
    options, manifest = options or BuildOptions(), read_manifest(onnx)
    data = onnx.read_bytes()
    with aside(engine, exist_ok) as partial, aside(record_path(engine), exist_ok) as partial_record:
        began = time.perf_counter()
        built = build_engine(library, data, manifest, options, _timing_cache(library, gpu), on_phase, gpu)
        record = EngineRecord(
            manifest=manifest,
            onnx=onnx.name,
            onnx_sha256=digest(data),
            made_by=tuple(made_by) or build_command(onnx, library.name, options),
            engine_sha256=digest(built),
            library=library.name,
            library_version=library.version,
            gpu=None if gpu is None else dataclasses.asdict(gpu),
            options=options,
            profiles=profiles_of(manifest, options),
            built=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - began, 1),
        )
        partial.write_bytes(built)
        partial_record.write_text(record.to_json(), encoding="utf-8")
    return record


def cached_engine(
    onnx: Path,
    library: Library,
    gpu: Gpu,
    options: BuildOptions | None = None,
    on_phase: OnBuild = silent,
    device: Sequence[str] = (),
) -> tuple[Path, bool]:
    """The engine of an artifact for this library and GPU, from the cache or built into it.

    ``device`` are the words of a command that name the GPU.

    Returns:
        the file, and whether it was built just now.

    Raises:
        OutputError: there is no folder for a cache.
        SalError: see :func:`make_engine`.
    """
    options = options or BuildOptions()
    folder = cache_folder("engines")
    if folder is None:
        raise OutputError(
            "no folder for engines can be made; set XDG_CACHE_HOME, or build one: sal-export MODEL.onnx --format engine"
        )
    key = [digest(onnx.read_bytes()), library.name, library.version, gpu.name, gpu.capability, options.flags()]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    engine = folder / f"{onnx.stem}-{name}.engine"
    waiting = "waiting for another process that builds it"
    with locked(engine, lambda: on_phase(waiting, 0, 0)):  # of two that start at once, the first builds for both
        with contextlib.suppress(SalError, OSError):  # what is not whole is built again
            if digest(engine.read_bytes()) == read_record(engine).engine_sha256:
                return engine, False
        words = build_command(onnx, library.name, options, device)
        make_engine(onnx, engine, library, gpu, options, exist_ok=True, on_phase=on_phase, made_by=words)
    return engine, True


@contextlib.contextmanager
def gpu_here(index: int = 0, api: str = "cuda.core") -> Iterator[Gpu | None]:
    """Within the block that GPU is the one that engines are built for; None where this machine has none.

    Raises:
        SalError: the device API is unknown or not installed; there is a GPU, but not that one, or it cannot be used.
    """
    queue = None
    with contextlib.suppress(NoGpu):
        queue = open_queue(index, api)
    if queue is None:
        yield None
        return
    try:
        with queue.active():
            yield queue.gpu
    finally:
        queue.close()


def _timing_cache(library: Library, gpu: Gpu | None) -> Path | None:
    """Where timings are kept between builds; None where there is no folder or no GPU."""
    folder = cache_folder("timing")
    if folder is None or gpu is None:
        return None
    card = "".join(c if c.isalnum() else "-" for c in gpu.name)
    return folder / f"{library.name}-{library.version}-{card}-{gpu.capability}.cache"
