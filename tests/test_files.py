"""Files are whole or not there, folders are one job's, and what others put in their place is named."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sim.errors import DatasetError
from sim.files import check_writable, claim_folder, locked, parse_json, whole_file


def dead_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write(path: Path, text: str = "new") -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text)


def test_a_finished_file_is_there_under_its_own_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "figure.png"
    with whole_file(path) as temporary:
        assert temporary.suffix == ".png"  # the ending decides the format for many writers
        temporary.write_text("whole")
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["figure.png"]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text("old")

    def fail_half_way() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_file_that_is_replaced_keeps_its_mode_and_is_never_more_open(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("old")
    path.chmod(mode)
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


def test_a_link_stays_a_link_also_one_to_a_file_that_is_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "real.json").write_text("old")
    for name in ("real.json", "new.json"):
        (tmp_path / name).symlink_to(Path("deep", name))
        write(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "deep" / name).read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path, got = tmp_path / "pipe.json", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_text()))
    reader.start()
    write(path)
    reader.join(timeout=10)
    assert got == ["new"]
    assert path.is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe.json"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root makes device nodes")
@pytest.mark.parametrize(("minor", "error"), [(3, None), (7, "No space left on device")], ids=["null", "full"])
def test_a_device_stays_a_device(minor: int, error: str | None, tmp_path: Path) -> None:
    path = tmp_path / "device"
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        path.open("wb").close()
    except PermissionError:
        pytest.skip("no device nodes here")
    if error is None:
        write(path)
    else:
        with pytest.raises(OSError, match=error) as caught:
            write(path)
        assert caught.value.filename == str(path)
    assert path.is_char_device()


def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with pytest.raises(OSError, match="No space left") as caught, whole_file(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_threads_that_write_one_file_at_once_leave_one_of_theirs_whole(tmp_path: Path) -> None:
    path, together = tmp_path / "model.json", threading.Barrier(2)

    def write_slowly(letter: str) -> None:
        with whole_file(path) as temporary:
            together.wait(10)
            temporary.write_text(letter * 1000)
            together.wait(10)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write_slowly, "ab"))
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert [each.name for each in tmp_path.iterdir()] == ["model.json"]


def test_what_killed_processes_left_of_this_file_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dead, alive = dead_pid(), os.getppid()
    others = [f".model.{alive}.1.tmp.json", f".other.{dead}.1.tmp.json", f".model.{dead}.1.tmp.png", ".model.tmp.json"]
    for name in [f".model.{dead}.1.tmp.json", f".model.{dead}.tmp.json", *others]:
        (tmp_path / name).write_text("half")
    write(tmp_path / "model.json")
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", *others}


def test_folders_and_files_in_the_way_are_refused_before_and_after(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path, error in ((tmp_path, IsADirectoryError), (Path("/"), IsADirectoryError)):
        for refuse in (check_writable, write):
            with pytest.raises(error):
                refuse(path)
    for refuse in (check_writable, write):
        with pytest.raises((NotADirectoryError, FileExistsError)):
            refuse(tmp_path / "file" / "below.json")
    check_writable(tmp_path / "new" / "deep" / "model.json")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "Expecting"),
        (b"\xff\xfe{", "decode"),
        (b"[]", "does not hold names and values"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 10_000 + b"}", "limit"),
    ],
)
def test_damaged_json_is_a_value_error(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def claim(folder: Path, about: dict[str, object], *, fixed: list[str] | None = None) -> None:
    claim_folder(folder / "job.json", about, what="jobs", error=DatasetError, fixed=fixed)


def test_a_folder_is_one_jobs(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "job"
    claim(folder, {"seed": 0, "joints": ("a", "b"), "note": "first"})
    written = (folder / "job.json").read_bytes()
    claim(folder, {"seed": 0, "joints": ("a", "b"), "note": "first"})
    claim(folder, {"seed": 0, "joints": ("a", "b"), "note": "second"}, fixed=["seed", "joints"])
    with pytest.raises(
        DatasetError, match="holds other jobs: seed is 0 there, 1 here; note is 'first' there, None"
    ) as e:
        claim(folder, {"seed": 1, "joints": ["a", "b"]})
    assert e.value.names == ["seed", "note"]  # type: ignore[attr-defined]
    assert (folder / "job.json").read_bytes() == written
    with pytest.raises(DatasetError, match=r"holds other files and no job\.json"):
        claim(tmp_path, {})
    with pytest.raises(DatasetError, match="is a file"):
        claim(folder / "job.json", {})
    (folder / "job.json").write_bytes(b"\xff")
    with pytest.raises(DatasetError, match=r"job\.json is damaged"):
        claim(folder, {})


def test_a_lock_keeps_others_away_until_its_holder_ends_or_is_killed(tmp_path: Path) -> None:
    path = tmp_path / ".lock"

    def lock() -> None:
        with locked(path, what="the job", error=DatasetError):
            pass

    code = (
        "import sys; from pathlib import Path; from sim.files import locked; from sim.errors import IKError\n"
        "with locked(Path(sys.argv[1]), what='it', error=IKError): print(flush=True); input()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(DatasetError, match="another process is writing the job; wait for it"):
        lock()
    other.kill()
    other.wait()
    with locked(path, what="the job", error=DatasetError), pytest.raises(DatasetError, match="another process"):
        lock()
    lock()
    assert not list(tmp_path.iterdir())
