"""A safetensors file with names to texts, arrays, and a checksum over both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sim.errors import CheckpointError
from sim.files import whole_file

_CHECKSUM = "checksum"

Tensors: TypeAlias = Mapping[str, NDArray[Any]]


def write_tensors(path: Path | str, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    """Write arrays and what is said of them to one file that is whole or not there.

    Args:
        path: The file.
        tensors: By name.
        metadata: Names to texts.

    Raises:
        OSError: The disk is full, or the file cannot be written.
    """
    from safetensors.numpy import save

    kept = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    content = save(kept, metadata={**metadata, _CHECKSUM: _checksum(kept, metadata)})
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def read_metadata(path: Path) -> dict[str, str]:
    """What is said of the tensors in a file, the checksum left out and not verified: that takes the tensors.

    Raises:
        CheckpointError: It is no safetensors file, or a damaged one.
    """
    return _read(path, whole=False)[1]


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays in a file, and what is said of them.

    Args:
        path: The file; one from before there were checksums has none and is taken as it is.

    Raises:
        CheckpointError: It is no safetensors file, a damaged one, or its checksum is wrong.
    """
    tensors, metadata, checksum = _read(path, whole=True)
    if checksum is not None and checksum != _checksum(tensors, metadata):
        raise CheckpointError(
            f"{path} is damaged: its checksum does not fit its content; take another copy, or make it again",
            path=str(path),
        )
    return tensors, metadata


def _read(path: Path, *, whole: bool) -> tuple[dict[str, NDArray[Any]], dict[str, str], str | None]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()} if whole else {}  # noqa: SIM118 - no iterator
    except (SafetensorError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is no readable model: it is truncated, damaged, or not a safetensors file "
            f"({' '.join(str(error).split())}); pickled weights are not read, because a pickle can run any code",
            path=str(path),
        ) from error
    return tensors, metadata, metadata.pop(_CHECKSUM, None)


def _checksum(tensors: Tensors, metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, texts, types, shapes and numbers, in the order of the names."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, value in sorted(tensors.items()):
        digest.update(json.dumps([name, f"torch.{value.dtype}", list(value.shape)]).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
