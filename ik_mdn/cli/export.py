"""`ik-mdn export`: a model's network as ONNX graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ik_mdn.cli.console import print_line, waiting, write_json
from ik_mdn.cli.options import ArmName, Base, Json, ModelName, Tip, Whole
from sim.errors import ShapeError

if TYPE_CHECKING:
    from ik_mdn.model import ArmModel


def run(
    arm: ArmName,
    /,
    *,
    onnx: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    model: ModelName = None,
    count: Whole = 1000,
    base: Base = None,
    tip: Tip = None,
    json: Json = None,
) -> None:
    """Write a mixture as ONNX graphs: pose in, weights, means and precision factors in the arm's joint values out.

    Features and symmetries are inside. A redundant arm gets one file per factor of its density: FILE for the joint that is
    drawn first, then one ending in .rest.onnx, which takes that joint's value too. What goes in and comes out, in which
    units and order, stands in each file's metadata. Needs the extra: pip install '.[onnx]' in the clone.

    Args:
        onnx: The file to write.
        count: Fresh poses on which ONNX Runtime's answers are compared with torch's.
    """
    from ik_mdn.evaluation import held_out
    from ik_mdn.model import compare_onnx, load_fitting, write_onnx
    from sim.arm import load_arm
    from sim.files import check_writable

    check_writable(onnx)
    if onnx.exists() and not onnx.is_file():
        raise ShapeError(f"--onnx must name a plain file, which is read again to be compared; {onnx} is none")
    if count < 1:
        raise ShapeError(f"--count must be at least 1; got {count}")
    with waiting("loading the model"):
        loaded = load_arm(arm, base=base, tip=tip)
        trained: ArmModel = load_fitting(loaded, model)
    try:
        with waiting("exporting"):
            files = write_onnx(trained, onnx)
        with waiting("comparing with torch"):
            off, rounding = compare_onnx(trained, files, held_out(loaded, count)[1])
    except ImportError as error:
        raise ShapeError(
            f"{error.name} is not installed; it comes with the extra: pip install '.[onnx]' in the clone"
        ) from error
    if json:
        write_json(
            json, {"files": [str(file) for file in files], "poses": count, "difference": off, "rounding": rounding}
        )
    if json != "-":
        print_line("\n".join(f"wrote {file}" for file in files))
        worst = ", ".join(f"{name} {value:.1e} (rounding {rounding[name]:.1e})" for name, value in off.items())
        print_line(f"largest differences of ONNX Runtime from torch on {count:,} poses: {worst}")
        print_line("(rounding: of torch in single precision, as here, from torch in double precision)")
