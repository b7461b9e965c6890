"""The manifest out of an ``.onnx`` without the onnx package and without an engine.

An ``.onnx`` is one protobuf message, ``ModelProto``. This reads the few bytes that say which fields stand where, keeps
field 14 (``metadata_props``, entries of a key and a value) and steps over all others, the weights among them unread.
Source: onnx/onnx.proto3, and the wire format at protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO

from sal_runtime.errors import ArtifactError
from sal_runtime.manifest import METADATA_KEY, Manifest

_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_manifest(path: Path) -> Manifest:
    """The manifest that an ``.onnx`` carries.

    Raises:
        ArtifactError: the file cannot be read, is damaged, has no manifest or one that is not understood.
    """
    return manifest_in(read_metadata(path), path)


def manifest_in(metadata: Mapping[str, str], path: Path) -> Manifest:
    """The manifest among the metadata of the model at ``path``, however they were read.

    Raises:
        ArtifactError: there is none, or it is not understood.
    """
    if METADATA_KEY not in metadata:
        raise ArtifactError(f"{path}: an ONNX model without a sal-edge manifest; make the artifact with sal-export")
    return Manifest.from_json(metadata[METADATA_KEY], str(path))


def read_metadata(path: Path) -> dict[str, str]:
    """All of ``metadata_props``, key to value.

    Raises:
        ArtifactError: the file cannot be read, or is no whole protobuf message.
    """
    try:
        with path.open("rb") as file:
            entries = [dict(_fields(BytesIO(raw), len(raw))) for raw in _metadata_props(file)]
            return {entry[_KEY].decode(): entry.get(_VALUE, b"").decode() for entry in entries}
    except OSError as exc:
        raise ArtifactError(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    except (EOFError, KeyError, UnicodeDecodeError) as exc:
        raise ArtifactError(f"{path}: cannot open it: not an ONNX model, or damaged; is it whole?") from exc


def _metadata_props(file: IO[bytes]) -> Iterator[bytes]:
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise EOFError
    for number, value in _fields(file, size, keep=_METADATA_PROPS):
        if number == _METADATA_PROPS:
            yield value


def _fields(file: IO[bytes], size: int, keep: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each length-delimited field of a message of ``size`` bytes; of ``keep`` only, if it is given.

    Raises:
        EOFError: the message ends within a field, or has one of an unknown kind.
    """
    while file.tell() < size:
        tag = _varint(file)
        number, kind = tag >> 3, tag & 7
        if number == 0 or kind not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise EOFError
        if kind == _VARINT:
            _varint(file)
            continue
        length = _varint(file) if kind == _BYTES else 8 if kind == _FIXED64 else 4
        if file.tell() + length > size:
            raise EOFError
        if kind == _BYTES and keep in (None, number):
            yield number, file.read(length)
        else:
            file.seek(length, os.SEEK_CUR)


def _varint(file: IO[bytes]) -> int:
    """An integer, seven bits a byte, the least first; at most 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise EOFError
