"""Where the files that come with the project lie, in a clone as in an installed wheel."""

from __future__ import annotations

from pathlib import Path


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
