"""`ik-mdn arms`: the built-in arms, or one arm's chain."""

from __future__ import annotations

from typing import Annotated

import tyro

from ik_mdn.cli.console import Link, OutFile, print_table, write_json


def run(
    arm: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[ARM]")] = None,
    /,
    *,
    base: Link = None,
    tip: Link = None,
    json: OutFile = None,
) -> None:
    """List the built-in arms, or show the chain of one arm.

    Args:
        arm: Built-in name, planar:L1,L2,..., or path of a URDF. Without it, the built-in arms are listed.
        base: Link that poses are given in; without it, the URDF's root.
        tip: Link whose pose counts; without it, the URDF's only leaf.
        json: Write JSON to this file ("-": standard output) instead of a table.
    """
    from sim.arm import builtin_arms, load_arm

    if arm is None:
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
    title = f"{loaded.name}: {loaded.n_joints} joints from {loaded.base} to {loaded.tip}"
    return print_table(title, ["joint", "type", "min [rad, m]", "max [rad, m]"], rows)
