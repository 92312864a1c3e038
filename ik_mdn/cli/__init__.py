"""The command line `ik-mdn`: one module per command, imported when the command runs."""

from __future__ import annotations

import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from types import ModuleType

COMMANDS = {
    "arms": "list the built-in arms, or show one arm's chain",
    "generate": "write a forward-kinematics dataset",
    "train": "train a model for an arm",
    "plot": "draw the loss of training runs",
    "solve": "all joint vectors that reach a target",
    "track": "follow a line, a circle or a polyline without changing branch",
    "reach": "run reach tasks in the physics simulator",
    "compare": "MSE, mixture, refinement and PyBullet side by side",
    "view": "drag a target in the browser and see every solution; pages, pictures",
    "evaluate": "likelihood, components, calibration and modes of a trained mixture",
    "teach": "the theory in figures, with a sentence each",
    "choose": "choose the number of components by cross-validation",
    "export": "write a model's network as ONNX graphs for other languages",
}
RESUMED = ("generate", "train")  # the same command goes on where Ctrl-C stopped it

_HELP = """\
usage: ik-mdn COMMAND [ARM] [OPTIONS]

Inverse kinematics with mixture density networks.

{commands}

ARM is a built-in name (`ik-mdn arms`), planar:L1,L2,... (link lengths in
metres), or the path of a URDF.
`ik-mdn COMMAND --help` tells its options; `ik-mdn --version` the version.
Tab completion (or zsh):
  ik-mdn --completion bash > ~/.local/share/bash-completion/completions/ik-mdn

Exit codes: 0 done, 2 wrong input (one line on stderr says what to do), 130
stopped by Ctrl-C, 141 the reader of a pipe has gone. A target that cannot be
reached is a result, not an error: exit code 0, and the status says why.
"""
_SHELLS = ("bash", "zsh")
_NUMBERS = re.compile(r"[-+]?[\d.][\d.eE+-]*(,[-+]?[\d.][\d.eE+-]*)*,?")  # "0.3,0,0.2" or "0.3,"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        argv: Arguments without the program's name; default: those of the process.

    Returns:
        0 for success, 2 for wrong input (one line on stderr says what to do), 130 after Ctrl-C, 141 where the reader
        of a pipe has gone.
    """
    from ik_mdn.cli.console import guard, report_error

    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else ""
    if command in ("", "-h", "--help"):
        sys.stdout.write(_help())
        return 0 if arguments else 2
    if command == "--version":
        import ik_mdn

        return guard(lambda: sys.stdout.write(f"ik-mdn {ik_mdn.__version__}\n"))
    if command == "--completion":
        shell = arguments[1] if len(arguments) > 1 else ""
        if shell not in _SHELLS:
            return report_error(f"--completion takes the name of a shell; got {shell!r}, allowed: {', '.join(_SHELLS)}")
        return guard(lambda: _print_completion(shell))
    if command not in COMMANDS:
        return report_error(_suggest(f"unknown command {command!r}; allowed: {', '.join(COMMANDS)}"))
    return guard(
        lambda: _run(command, _spread_numbers(_arm_by_position(arguments[1:]))),
        explain=lambda message: _suggest(_as_options(message, _module(command))),
        resumes=command in RESUMED,
    )


def _module(command: str) -> ModuleType:
    return import_module(f"ik_mdn.cli.{command}")


def _run(command: str, arguments: list[str]) -> None:
    import tyro

    module = _module(command)
    config = getattr(module, "CONFIG", (tyro.conf.OmitArgPrefixes,))
    about = _wrapped(module.run.__doc__ or "")
    tyro.cli(module.run, prog=f"ik-mdn {command}", args=arguments, config=config, description=about)


def _wrapped(docstring: str) -> str:
    """What a docstring says before its sections, in lines that fit the terminal, which the parser takes as they are."""
    width = min(shutil.get_terminal_size().columns, 100) - 1
    text = inspect.cleandoc(docstring).split("\n\nArgs:")[0]
    parts = [
        textwrap.fill(" ".join(part.split()), width, initial_indent=" ", subsequent_indent=" ", break_on_hyphens=False)
        for part in text.split("\n\n")
    ]
    return "\n\n".join(parts)


def _help() -> str:
    width = max(map(len, COMMANDS))
    return _HELP.format(commands="\n".join(f"  {name:<{width}}  {about}" for name, about in COMMANDS.items()))


def _print_completion(shell: str) -> None:
    """The parser's own script for a shell, of all commands in one."""
    import tyro

    tyro.extras.subcommand_cli_from_dict(
        {command: _module(command).run for command in COMMANDS},
        prog="ik-mdn",
        args=["--tyro-print-completion", shell],
    )


def _arm_by_position(arguments: list[str]) -> list[str]:
    """Let every command take its arm by position or as `--arm ARM`: move the named one to the first place."""
    for i, argument in enumerate(arguments):
        if argument == "--arm" and i + 1 < len(arguments):
            return [arguments[i + 1], *arguments[:i], *arguments[i + 2 :]]
        if argument.startswith("--arm="):
            return [argument.removeprefix("--arm="), *arguments[:i], *arguments[i + 1 :]]
    return arguments


def _spread_numbers(arguments: list[str]) -> list[str]:
    """Numbers joined by commas, as `--pose 0.3,0,0.2` or `--pose=0.3,0,0.2`, one by one."""
    out: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        if "," in value and _NUMBERS.fullmatch(value):
            out += [*([option] if equals else []), *value.strip(",").split(",")]
        else:
            out.append(argument)
    return out


def _as_options(message: str, module: ModuleType) -> str:
    """A library's message with the parameters it speaks of named as the options that they are here: tip= as --tip."""
    for name in signature(module.run).parameters:
        option = f"--{name.replace('_', '-')}"
        alone = rf"(?<![\w./?&-]){name}"  # no part of a file's name or of a URL
        message = re.sub(rf"{alone}=True\b", option, message)
        message = re.sub(rf"{alone}=False\b", f"--no-{option[2:]}", message)
        message = re.sub(rf"{alone}=(?=[\w'\"\[(.+-])", f"{option} ", message)
        message = re.sub(rf"{alone}(=|\b(?!/|\.\w))" if "_" in name else f"{alone}=", option, message)
    return message


def _suggest(message: str) -> str:
    """A message on an unknown name, with the known name that is most like it."""
    match = re.match(
        r"(?:unknown [\w ]+|no model|no device) '([^']*)'(?=;[^;]*(?:allowed|one of|here are): ([^(]*\w))", message
    )
    close = get_close_matches(match[1].lower(), match[2].split(", "), n=1) if match else []
    return (
        f"{message[: match.end()]} (did you mean {close[0]!r}?){message[match.end() :]}" if match and close else message
    )
