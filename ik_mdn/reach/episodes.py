"""A folder of finished episodes: what they are of, one line each as they end, and the figures at the end."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from ik_mdn.reach.summary import ReachSummary, summarise_records
from sim.errors import SuiteError
from sim.files import claim_folder, locked, parse_json, whole_file, write_json

Record = dict[str, Any]

COLUMNS = (
    "episode",
    "suite",
    "reachable",
    "success",
    "status",
    "err_pos",
    "err_rot",
    "path_q",
    "path_tip",
    "time_execute",
    "time_solve",
    "time_decide",
    "moved",
    "touched",
    "ended_touching",
    "n_candidates",
    "reason",
    "about",
)


_ENDING = len(',"checksum":""}') + 16  # bytes at the end of a line


class EpisodeFolder:
    """`run.json` (the settings), `episodes.jsonl` (one line per finished episode) and, at the end, the figures.

    A line is written in one go when its episode has ended, so that a run that is killed loses no finished one; a last
    line that was cut off is dropped when the folder is opened again. Each ends with a checksum of what stands before. Use it as a context manager: it is open for one
    run at a time.

    Args:
        folder: Made if it is not there.
        settings: What the episodes are of, JSON types; must agree with what the folder holds.

    Raises:
        SuiteError: The folder holds episodes of other settings (the message names them), or other files, or is damaged.
    """

    def __init__(self, folder: Path | str, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = Path(folder), dict(settings)
        self.done: dict[int, Record] = {}
        self._handle: int | None = None
        self._stack = ExitStack()
        claim_folder(self.folder / "run.json", self.settings, what="episodes", error=SuiteError)

    def __enter__(self) -> EpisodeFolder:
        path = self.folder / "episodes.jsonl"
        with ExitStack() as stack:
            lock = self.folder / ".lock"
            stack.enter_context(locked(lock, what=f"the episodes in {self.folder}", error=SuiteError))
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            stack.callback(os.close, handle)
            self.done = _read_records(path, _keep_whole_lines(path, handle))
            self._handle, self._stack = handle, stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
        self._handle = None

    def append(self, record: Record) -> None:
        """Keep a finished episode: one whole line, handed to the system before this returns.

        Args:
            record: JSON types, with its number in `episode`.
        """
        assert self._handle is not None, "the folder is not open"
        text = json.dumps(record, allow_nan=False, separators=(",", ":")).encode()
        os.write(self._handle, text[:-1] + _ending(text) + b"\n")
        self.done[int(record["episode"])] = record

    def records(self, episodes: int) -> list[Record]:
        """The finished ones among the first so many episodes, in their order."""
        return [self.done[index] for index in range(episodes) if index in self.done]

    def finish(self, episodes: int) -> ReachSummary:
        """Write summary.json, episodes.csv and figures of the first so many episodes.

        Args:
            episodes: How many; those that are not finished are left out.

        Returns:
            The figures.

        Raises:
            SuiteError: An episode that was there is damaged.
        """
        from ik_mdn.reach.figures import draw_figures

        records = self.records(episodes)
        try:
            summary = summarise_records(records)
            write_json(self.folder / "summary.json", {"settings": self.settings, "summary": summary.to_dict()})
            write_csv(self.folder / "episodes.csv", records)
            draw_figures(self.folder / "figures", records)
        except (KeyError, TypeError, ValueError) as error:
            raise SuiteError(
                f"{self.folder / 'episodes.jsonl'} has a line that is no whole episode ({error!r}); delete that line, "
                "and the episode runs again"
            ) from error
        return summary


def write_csv(path: Path, records: Iterable[Record]) -> None:
    """Write one row of `COLUMNS` per episode: a table for other programs, SI units.

    Args:
        path: The file.
        records: See `reaching.describe_episode`.
    """
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for record in records:
            marks = {"touched": bool(record["contacts"]), "ended_touching": bool(record["contacts_end"])}
            writer.writerow({**record, **marks})


def _keep_whole_lines(path: Path, handle: int) -> bytes:
    """What the file holds up to its last line end; what follows was cut off, and is dropped."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.ftruncate(handle, len(whole))
    return whole


def _ending(text: bytes) -> bytes:
    """How the line of a record ends whose JSON text this is: with a checksum of it."""
    return b',"checksum":"%s"}' % hashlib.sha256(text).hexdigest()[:16].encode()


def _read_records(path: Path, content: bytes) -> dict[int, Record]:
    found: dict[int, Record] = {}
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            record = parse_json(line)
            if line[-_ENDING:] != _ending(line[:-_ENDING] + b"}"):
                raise ValueError("its checksum does not fit its content")
            del record["checksum"]
            found.setdefault(int(record["episode"]), record)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise SuiteError(
                f"{path}, line {number}, is no episode ({error}); delete that line, and the episode runs again"
            ) from None
    return found
