"""Files that are whole or not there, folders in which a stopped job goes on, and where shipped files lie."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np

from sim.errors import IKError, shown
from sim.remote import Place, RemotePath


@contextmanager
def whole_file(path: Place | str) -> Iterator[Path]:
    """A name to write to, whose content becomes that of a file when the block ends, and is dropped when it fails.

    A plain file is replaced in one step, by renaming: whoever reads sees the old one or the new one, also after a
    crash. It keeps its mode, and a link to it stays a link. What is no plain file (a device, a pipe) is written to; for a
    remote one see `RemotePath.writing`.

    Args:
        path: The file; its folder is made. The name to write to keeps its ending, which decides the format for many
            writers.

    Yields:
        Where to write.

    Raises:
        OSError: The disk is full, or the file cannot be written; it carries the name of the file.
    """
    if isinstance(path, RemotePath):
        with path.writing() as temporary:
            yield temporary
        return
    path = Path(path)
    if _is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, path.name)
            try:
                with Path(folder, path.name).open("rb") as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            except OSError as error:  # a device's does not say which
                raise OSError(error.errno, error.strerror, str(path)) from error
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(target)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.{get_ident()}.tmp{target.suffix}")
    try:
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        if mode is not None:  # nobody who may not read the file reads the new one while it is written
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
        _to_disk(temporary)
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path | str) -> None:
    """Find out before the work whether `whole_file` could write afterwards; nothing is made or changed.

    Args:
        path: The file to be written.

    Raises:
        OSError: It is a folder, or in a folder that cannot be made or written to; it carries the name of the file.
    """
    path = Path(path)
    if _is_stream(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def as_json(value: Any) -> Any:
    """A value, or all in it, as JSON types: arrays as lists, and None for numbers that are not finite.

    Args:
        value: Mappings, sequences, NumPy arrays and scalars, and plain values.
    """
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse_json(text: str | bytes) -> dict[str, Any]:
    """The names and values of a JSON text.

    Args:
        text: As read from a file that anybody may have changed.

    Raises:
        ValueError: It is no JSON, no UTF-8, nested too deeply, or holds something else than names and values.
    """
    try:
        values = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError("it does not hold names and values")
    return values


def write_json(path: Place, values: Mapping[str, Any]) -> None:
    """Write names and values as a JSON file that is whole or not there.

    Args:
        path: The file.
        values: JSON types, no NaN or infinity.
    """
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(dict(values), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def claim_folder(
    note: Place,
    about: Mapping[str, Any],
    *,
    what: str,
    error: type[IKError],
    fixed: Collection[str] | None = None,
) -> None:
    """Make the folder of a job and note what it is of, or check that the note there is of the same job.

    With parts that are written by `whole_file`, the same job then makes what is missing of it and nothing else.

    Args:
        note: The file that says what the job is, in the job's folder.
        about: What the job is, JSON types.
        what: What the folder holds, for messages.
        error: What to raise.
        fixed: Which names in `about` must agree with the note; None: all, of both.

    Raises:
        error: The folder is of another job (`names` says in what), holds other files, is a file, or its note is
            damaged. Nothing was changed.
        OSError: It cannot be written to.
    """
    folder = note.parent
    if folder.exists() and not folder.is_dir():
        raise error(f"{str(folder)!r} is a file; give a folder for {what}")
    if note.exists():
        try:
            found = parse_json(note.read_bytes())
        except ValueError as damage:
            raise error(f"{note} is damaged ({damage}); delete the folder to start again, or use another one") from None
        names = differing(found, about, fixed=fixed)
        if names:
            unlike = describe_differences(found, about, names)
            raise error(
                f"{str(folder)!r} holds other {what}: {unlike}; repeat what is there to go on with it, "
                "or choose another folder (nothing was changed)",
                names=names,
            )
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise error(f"{str(folder)!r} holds other files and no {note.name}; choose an empty or a new folder")
    else:
        write_json(note, about)


def differing(
    found: Mapping[str, Any], wanted: Mapping[str, Any], *, fixed: Collection[str] | None = None
) -> list[str]:
    """The names whose values differ, tuples and lists being the same.

    Args:
        found, wanted: To compare.
        fixed: Which names; None: those of both.
    """
    there, here = (json.loads(json.dumps(dict(values))) for values in (found, wanted))
    return [name for name in (fixed or {**there, **here}) if there.get(name) != here.get(name)]


def describe_differences(found: Mapping[str, Any], wanted: Mapping[str, Any], names: Collection[str]) -> str:
    """What is there and what is asked for, for messages: "seed is 0 there, 1 here"."""
    return "; ".join(f"{name} is {shown(found.get(name))} there, {shown(wanted.get(name))} here" for name in names)


@contextmanager
def locked(path: Path, *, what: str, error: type[IKError]) -> Iterator[None]:
    """Keep other processes away from what a file stands for until the block ends; a killed process keeps nothing.

    Args:
        path: The lock file, in an existing folder; it is gone afterwards.
        what: What is being written, for the message.
        error: What to raise.

    Raises:
        error: Another process is at it.
        OSError: The folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise error(f"another process is writing {what}; wait for it, or choose another folder") from None
    try:
        yield
    finally:
        if os.name == "posix":  # elsewhere an open file cannot be removed
            path.unlink(missing_ok=True)
        lock.release()


def data_folder(kind: str) -> Path:
    """The folder that holds one kind of the files shipped with the project.

    An installed wheel carries them inside the package that uses them (`<package>/_data/<kind>`);
    a clone keeps them in the top-level folder `data/<kind>`.

    Args:
        kind: "arms" (robot descriptions), "scenes" (obstacles) or "models" (trained networks).

    Returns:
        An existing folder.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    top = Path(__file__).resolve().parent.parent
    package = {"arms": "sim", "scenes": "sim", "models": "ik_mdn"}[kind]
    candidates = [top / package / "_data" / kind, top / "data" / kind]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no folder of shipped {kind}: looked in {' and '.join(map(str, candidates))}")


def _is_stream(path: Path) -> bool:
    """Whether a path is a device, a pipe or the name of an open file: to be written to, never replaced."""
    if str(path.absolute()).startswith(("/dev/std", "/dev/fd/", "/proc/")):
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except ValueError as error:  # a zero byte in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder; give the name of a file", str(path))
    return not stat.S_ISREG(mode)


def _remove_stale(target: Path) -> None:
    """Remove what processes that were killed while they wrote this file have left beside it."""
    if os.name != "posix":  # elsewhere there is no harmless question whether a process lives
        return
    pattern = re.compile(rf"\.{re.escape(target.stem)}\.(\d+)(\.\d+)?\.tmp{re.escape(target.suffix)}")
    for name in os.listdir(target.parent):
        if (match := pattern.fullmatch(name)) and not _is_alive(int(match[1])):
            (target.parent / name).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
