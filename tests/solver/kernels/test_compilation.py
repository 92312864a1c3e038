"""Compiled code that is kept: it follows its sources, and damaged files do no harm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ik_mdn.solver.kernels import compilation

KERNELS = Path(compilation.__file__).parent
PROGRAM = """
import logging
logging.basicConfig(format="%(message)s")
from copied.calling import call
print(call(1.0), sum(call.stats.cache_hits.values()))
"""
CALLING = """
from copied.called import add
from copied.compilation import kept
@kept
def call(x):
    return add(x)
"""
CALLED = """
from copied.compilation import part
@part
def add(x):
    return x + 1.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package with the decorators and a function, compiled and kept, that calls one in another module."""
    package = tmp_path / "copied"
    package.mkdir()
    source = (KERNELS / "compilation.py").read_text(encoding="utf-8")
    for name, text in {"__init__": "", "compilation": source, "calling": CALLING, "called": CALLED}.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    assert run(tmp_path)[0] == "2.0 0"
    return tmp_path


def run(folder: Path, program: str = PROGRAM) -> tuple[str, str]:
    """What a program prints and logs, numba's files being in `cache`."""
    env = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.mark.slow
def test_code_is_kept_until_a_module_that_it_calls_changes(folder: Path) -> None:
    assert run(folder)[0] == "2.0 1"
    (folder / "copied/called.py").write_text(CALLED.replace("1.0", "2.0"), encoding="utf-8")
    assert run(folder)[0] == "3.0 0"
    assert run(folder)[0] == "3.0 1"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "left"), [("nbi", 0), ("nbi", 30), ("nbc", 0), ("nbc", -20)])
def test_a_damaged_file_is_compiled_again_with_one_line_in_the_log(folder: Path, kind: str, left: int) -> None:
    (path,) = (folder / "cache").rglob(f"*.{kind}")
    path.write_bytes(path.read_bytes()[:left])
    printed, logged = run(folder)
    assert printed == "2.0 0"
    assert logged.count("is damaged") == len(logged.splitlines()) == 1
    assert run(folder) == ("2.0 1", "")


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8])
def test_overwritten_machine_code_is_never_run(folder: Path, share: float) -> None:
    (path,) = (folder / "cache").rglob("*.nbc")
    content = bytearray(path.read_bytes())
    at = int(share * len(content))
    content[at : at + 16] = bytes(byte ^ 0xFF for byte in content[at : at + 16])
    path.write_bytes(content)
    printed, logged = run(folder)
    assert printed == "2.0 0"
    assert logged.count("is damaged") == 1


@pytest.mark.slow
def test_importing_the_kernels_compiles_nothing() -> None:
    root = KERNELS.parents[2]
    names = [path.stem for path in KERNELS.glob("*.py") if path.stem != "__init__"]
    program = "import importlib\nfrom numba.core import event\n"
    program += "with event.install_recorder('numba:compile') as recorder:\n"
    program += "".join(f"    importlib.import_module('ik_mdn.solver.kernels.{name}')\n" for name in names)
    program += "print(len(recorder.buffer))"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, timeout=300, check=True)
    assert done.stdout.split() == [b"0"]
