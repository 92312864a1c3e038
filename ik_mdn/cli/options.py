"""The options that several commands take: what each is called, what it means, and what it may be, said once."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from sim.executor import EngineKind

ARM_HELP = "Built-in name (`ik-mdn arms`), planar:L1,L2,... (link lengths in metres), or path of a URDF."

_MOST = 10**9  # of what is counted
_MOST_SEED = 2**62  # what follows from a seed still fits 64 bits


def _primitive(read: Callable[[str], Any], metavar: str, *, several: bool = False) -> Any:
    """How words become a value, one or several of them; what cannot be read is answered in words, not types."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*" if several else 1,
        metavar=metavar,
        instance_from_str=lambda words: tuple(map(read, words)) if several else read(words[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(each) for each in (value if several else [value]) or ()],
    )


def _read_whole(word: str, most: int = _MOST) -> int:
    try:
        value = int(word.replace("_", ""))
    except ValueError:
        raise ValueError(f"{word!r} is no whole number") from None
    if abs(value) > most:
        raise ValueError(f"{word} is too large; write a whole number up to {most:.3g}")
    return value


def _read_number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{word!r} is no number") from None


def _read_finite(word: str) -> float:
    """One number of several: of a pose or a joint vector."""
    value = _read_number(word)
    if not math.isfinite(value):
        raise ValueError(f"{word!r} is no finite number")
    return value


def _read_output(word: str) -> str:
    """The name of a file to write, found out before the work whether it can be."""
    from sim.files import check_writable

    check_writable(word)
    return word


def _read_film(word: str) -> str:
    from sim.rendering import check_film

    check_film(word)
    return _read_output(word)


def _read_figure(word: str) -> Path:
    from sim.rendering import check_figure

    check_figure(Path(word))
    return Path(_read_output(word))


OPTIONAL = {"help_behavior_hint": ""}  # says nothing of a default where the help says what happens without it

_WHOLE = _primitive(_read_whole, "N")
_NUMBERS = _primitive(_read_finite, "X", several=True)

Whole = Annotated[int, _WHOLE]
OptionalWhole = Annotated[int | None, _WHOLE]
OptionalNumber = Annotated[float | None, _primitive(_read_number, "X")]
Numbers = Annotated[tuple[float, ...] | None, _NUMBERS]
ArmName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ARM", help=ARM_HELP)]
Base = Annotated[
    str | None,
    tyro.conf.arg(metavar="LINK", help="Link that poses are given in; without it, the URDF's root.", **OPTIONAL),
]
Tip = Annotated[
    str | None,
    tyro.conf.arg(metavar="LINK", help="Link whose pose counts; without it, the URDF's only leaf.", **OPTIONAL),
]
TaskName = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="TASK",
        help="planar_position, planar_pose, position, position_axis, pose, or rows between commas such as x,y,z,yaw or "
        "x,y,z,axis_x; without it, the model's own, or what the arm can meet.",
        **OPTIONAL,
    ),
]
ModelName = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="MODEL",
        help='A .safetensors file, a shipped model\'s name, or "none" for random restarts; without it, the shipped '
        "model if this arm has one.",
        **OPTIONAL,
    ),
]
EngineName = Annotated[
    EngineKind,
    tyro.conf.arg(
        help="Where the work is done: local (this process), processes (of this machine), or ray (a cluster; extra `ray`)."
    ),
]
Address = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="HOST:PORT",
        help='Of the Ray cluster, or "auto"; without it, that of RAY_ADDRESS, else one of this machine alone.',
        **OPTIONAL,
    ),
]
DeviceName = Annotated[
    str,
    tyro.conf.arg(
        metavar="DEVICE", help="Where solutions are found: cpu, cuda (cuda:1, ...), or auto: a GPU where there is one."
    ),
]
Seed = Annotated[
    int,
    _primitive(lambda word: _read_whole(word, _MOST_SEED), "N"),
    tyro.conf.arg(help="Of all random numbers: the same seed gives the same result."),
]
Json = Annotated[
    str | None,
    _primitive(lambda word: word if word == "-" else _read_output(word), "FILE"),
    tyro.conf.arg(help='Write all numbers as JSON to this file ("-": standard output).', **OPTIONAL),
]
OutFile = Annotated[str | None, _primitive(_read_output, "FILE"), tyro.conf.arg(**OPTIONAL)]
OutPath = Annotated[Path | None, _primitive(lambda word: Path(_read_output(word)), "FILE"), tyro.conf.arg(**OPTIONAL)]
FigureFile = Annotated[Path | None, _primitive(_read_figure, "FILE"), tyro.conf.arg(**OPTIONAL)]
FilmFile = Annotated[str | None, _primitive(_read_film, "FILE"), tyro.conf.arg(**OPTIONAL)]
FilePath = Annotated[Path | None, tyro.conf.arg(metavar="FILE", **OPTIONAL)]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", **OPTIONAL)]
PoseNumbers = Annotated[Numbers, tyro.conf.arg(metavar="X Y Z QX QY QZ QW", **OPTIONAL)]
JointNumbers = Annotated[Numbers, tyro.conf.arg(metavar="Q1 .. QN", **OPTIONAL)]
