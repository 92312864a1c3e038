"""What all made pages are put together from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from results import to_markdown

CAPTIONS = {
    "planar_arms.png": "Two planar arms, three targets each: the mixture's modes, and the regressor that averages them.",
    "compare_poses.png": "Left of each pair: where the arm of the regressor trained with squared error ends. "
    "Right: the mixture's modes, before refinement, at the same target; what most of them share is grey.",
    "compare_errors.png": "Distribution of the position error of each method, per arm.",
    "recall_time.png": "Share of the branches found against CPU time per pose.",
    "cost.png": "How the cost of generating, training and solving, and memory, grow.",
    "viewer.webp": "The viewer: a UR5e's eight solutions of one target, each with its probability, and the regressor's arm.",
    "xarm6_reaches.gif": "An xArm6 reaching a series of targets in PyBullet.",
}


def words(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of words: every column starts at the left."""
    return to_markdown(header, rows).replace("---:", "---", len(header))


def page(title: str, *parts: str) -> str:
    """A page by its title and its parts; empty parts are left out."""
    text = f"# {title}\n\n" + "\n\n".join(part for part in parts if part) + "\n"
    return re.sub(r"(?<=\d) (?=(%|mm|µs)(\W|$))", "\u00a0", text, flags=re.M)  # a number and its unit on one line


def made_by(name: str, command: str) -> str:
    """Which file of results a page was made from, and the command that measured it."""
    return (
        f"Made from `data/results/{name}` when these pages were built. The numbers come from\n\n```sh\n{command}\n```"
    )
