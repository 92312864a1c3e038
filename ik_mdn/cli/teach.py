"""`ik-mdn teach`: the figures of a lecture on mixture density networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from ik_mdn.cli.console import print_line, progress, waiting


def run(
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("out/teaching"),
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]")] = (),
) -> None:
    """Draw the theory: figures with one sentence each, from two answers and their mean to bias and variance.

    Small networks are trained on the way; all figures take a few minutes on one core.

    Args:
        out: Folder for the figures, and for their captions in captions/README.md.
        only: Names of figures; default: all.
    """
    with waiting("loading"):
        import torch

        from ik_mdn.teaching import LESSONS, Lesson, teach

    torch.set_num_threads(1)  # the networks are tiny
    with progress() as bar:
        job = bar.add_task("drawing figures", total=len(only) or len(LESSONS))

        def show(lesson: Lesson, file: Path) -> None:
            print_line(f"{file}: {lesson.title}\n  {lesson.caption}")  # at once: Ctrl-C loses nothing
            bar.advance(job)

        teach(out, only=only, on_lesson=show)
