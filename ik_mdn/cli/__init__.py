"""The command line `ik-mdn`: one module per command, imported when the command runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

COMMANDS = ("arms",)


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
    try:
        _run(arguments)
    except IKError as error:
        return report_error(str(error))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return report_error(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        report_error("stopped by Ctrl-C; what was finished is kept, and the same command goes on from there")
        return 130
    return 0


def _run(arguments: list[str]) -> None:
    import tyro

    commands = {name: _command(name) for name in COMMANDS}
    tyro.extras.subcommand_cli_from_dict(
        commands,
        prog="ik-mdn",
        description="Inverse kinematics with mixture density networks.",
        args=_arm_by_position(arguments),
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _arm_by_position(arguments: list[str]) -> list[str]:
    """Let every command take its arm by position or as `--arm ARM`: move the named one to the first place."""
    for i, argument in enumerate(arguments):
        if argument == "--arm" and i + 1 < len(arguments):
            return [*arguments[:1], arguments[i + 1], *arguments[1:i], *arguments[i + 2 :]]
        if argument.startswith("--arm="):
            return [*arguments[:1], argument.removeprefix("--arm="), *arguments[1:i], *arguments[i + 1 :]]
    return arguments


def _command(name: str) -> Callable[..., Any]:
    run: Callable[..., Any] = import_module(f"ik_mdn.cli.{name}").run
    return run
