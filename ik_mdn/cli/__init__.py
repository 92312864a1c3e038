"""The command line `ik-mdn`: one module per command, imported when the command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "arms": "list the built-in arms, or show one arm's chain",
    "generate": "write a forward-kinematics dataset",
    "train": "train a model for an arm",
    "plot": "draw the loss of training runs",
    "solve": "all joint vectors that reach a target",
    "track": "follow a line, a circle or a polyline without changing branch",
    "reach": "run reach tasks in the physics simulator",
    "compare": "MSE, mixture, refinement and PyBullet side by side",
    "view": "drag a target in the browser and see every solution, or write a page or picture",
    "evaluate": "likelihood, components, calibration and modes of a trained mixture",
    "choose": "choose the number of components by cross-validation",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        argv: Arguments without the program's name; default: those of the process.

    Returns:
        0 for success, 2 for wrong input (one line on stderr says what to do), 130 after Ctrl-C.
    """
    from ik_mdn.cli.console import report_error
    from sim.errors import IKError

    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0 if arguments else 2
    if arguments[0] not in COMMANDS:
        return report_error(f"unknown command {arguments[0]!r}; allowed: {', '.join(COMMANDS)}")
    try:
        _run(arguments[0], _arm_by_position(arguments[1:]))
    except IKError as error:
        return report_error(str(error))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return report_error(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        resumes = arguments[0] in ("generate", "train")
        report_error("stopped by Ctrl-C" + ("; the same command goes on where it stopped" if resumes else ""))
        return 130
    return 0


def _run(command: str, arguments: list[str]) -> None:
    import tyro

    module = import_module(f"ik_mdn.cli.{command}")
    config = getattr(module, "CONFIG", (tyro.conf.OmitArgPrefixes,))
    tyro.cli(module.run, prog=f"ik-mdn {command}", args=arguments, config=config)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ik-mdn COMMAND [ARM] [OPTIONS]",
            "",
            "Inverse kinematics with mixture density networks.",
            "",
            *lines,
            "",
            "ARM is a built-in name (`ik-mdn arms`), planar:L1,L2,... (link lengths in metres), or the path of a URDF.",
            "`ik-mdn COMMAND --help` tells a command's options.",
            "",
        ]
    )


def _arm_by_position(arguments: list[str]) -> list[str]:
    """Let every command take its arm by position or as `--arm ARM`: move the named one to the first place."""
    for i, argument in enumerate(arguments):
        if argument == "--arm" and i + 1 < len(arguments):
            return [arguments[i + 1], *arguments[:i], *arguments[i + 2 :]]
        if argument.startswith("--arm="):
            return [argument.removeprefix("--arm="), *arguments[:i], *arguments[i + 1 :]]
    return arguments
