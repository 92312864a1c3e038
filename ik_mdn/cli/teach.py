"""`ik-mdn teach`: the figures of a lecture on mixture density networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


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
    import torch
    from rich.console import Console

    from ik_mdn.teaching import Lesson, teach

    torch.set_num_threads(1)  # the networks are tiny
    console = Console(highlight=False, soft_wrap=True, markup=False)

    def say(lesson: Lesson, file: Path) -> None:
        console.print(f"{file}: {lesson.title}\n  {lesson.caption}")

    teach(out, only=only, on_lesson=say)
