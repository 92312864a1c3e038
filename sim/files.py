"""Files that are whole or not there, and where those that come with the project lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A temporary name beside a file, to write to: renamed to the file when the block ends, removed when it fails.

    Args:
        path: The file; its folder is made. The temporary name keeps its ending, which decides the format for many writers.

    Yields:
        Where to write.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def data_folder(kind: str) -> Path:
    """The folder that holds one kind of the files shipped with the project.

    An installed wheel carries them inside the package that uses them (`<package>/_data/<kind>`);
    a clone keeps them in the top-level folder `data/<kind>`.

    Args:
        kind: "arms" (robot descriptions), "scenes" (obstacles) or "models" (trained networks).

    Returns:
        An existing folder.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    top = Path(__file__).resolve().parent.parent
    package = {"arms": "sim", "scenes": "sim", "models": "ik_mdn"}[kind]
    candidates = [top / package / "_data" / kind, top / "data" / kind]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no folder of shipped {kind}: looked in {' and '.join(map(str, candidates))}")
