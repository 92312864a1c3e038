"""`ik-mdn arms`: the built-in arms, or one arm's chain."""

from __future__ import annotations

from typing import Annotated

import tyro

from ik_mdn.cli.console import print_table, write_json
from ik_mdn.cli.options import ARM_HELP, OPTIONAL, Base, Json, Tip
from sim.words import counted

OptionalArm = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[ARM]", help=ARM_HELP, **OPTIONAL)]


def run(arm: OptionalArm = None, /, *, base: Base = None, tip: Tip = None, json: Json = None) -> None:
    """List the built-in arms, or show the chain of one arm."""
    from sim.arm import builtin_arms, load_arm
    from sim.errors import ShapeError

    if arm is None:
        if base or tip:
            raise ShapeError("--base and --tip are links of one arm; say of which: ik-mdn arms ARM")
        arms = builtin_arms()
        if json:
            return write_json(json, {"arms": arms})
        return print_table("Built-in arms", ["name", "what it is"], list(arms.items()), text=True)
    loaded = load_arm(arm, base=base, tip=tip)
    if json:
        return write_json(json, loaded.to_dict())
    rows = [
        [name, kind, f"{low:.4g}", f"{high:.4g}"]
        for name, kind, low, high in zip(
            loaded.joint_names, loaded.joint_types, loaded.q_min, loaded.q_max, strict=True
        )
    ]
    title = f"{loaded.name}: {counted(loaded.n_joints, 'joint')} from {loaded.base} to {loaded.tip}"
    return print_table(title, ["joint", "type", "min [rad, m]", "max [rad, m]"], rows)
