"""`ik-mdn plot`: draw the loss of training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from ik_mdn.cli.console import report_note, waiting


def run(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")],
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("training.png"),
) -> None:
    """Draw loss and variance floor of training runs over time.

    Args:
        runs: Run folders, or their metrics.csv files.
        out: The figure; the ending decides the format (png, pdf, svg).
    """
    with waiting("drawing"):
        from ik_mdn.training import plot_training

        plot_training([path / "metrics.csv" if path.is_dir() else path for path in runs], out)
    report_note(f"wrote {out}")
