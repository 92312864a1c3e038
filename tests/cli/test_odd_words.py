"""Odd words at every entrance of the command line: an answer or one line of error, no traceback, within bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ik_mdn.cli import main

LONGEST = 20.0  # seconds that one command may take; nearly all end within one

WORDS = [
    *(
        "",
        "-1",
        "0",
        "1.5",
        "nan",
        "inf",
        "1e308",
        "9" * 400,
        "1e999",
        "x",
        "None",
        "True",
        "[1]",
        "{}",
        "--",
        "-",
        "~nobody/a",
    ),
    *(
        "/",
        "/nowhere/x.json",
        "\x00",
        "ä" * 300,
        "$(x)",
        "%s%n",
        "[/bold]",
        "a\nb",
        "planar2",
        "x,y",
        "x,,y",
        "pose",
    ),
]
OPTIONS = {
    "arms": ["--base", "--tip", "--json"],
    "solve": [
        *("--point", "--pose", "--q-seed", "--max-jump", "--rank", "--max-solutions", "--timeout", "--seed", "--task"),
        *("--model", "--base", "--tip", "--pose-file", "--tolerance", "--restarts"),
    ],
    "track": [
        "--line",
        "--circle",
        "--q-start",
        "--pose",
        "--speed",
        "--rate",
        "--task",
        "--model",
        "--waypoints",
        "--scene",
    ],
    "reach": ["--episodes", "--seed", "--suite", "--scene", "--speed", "--task", "--explain", "--model", "--video"],
    "generate": ["--count", "--seed", "--shards", "--workers", "--shard-size"],
    "plot": ["--out"],
    "evaluate": ["--count", "--seed", "--model", "--task"],
}
PLAIN = {
    "arms": ["arms", "planar2"],
    "solve": ["solve", "planar2", "--point", "1", "0.5", "--model", "none"],
    "track": [
        "track",
        "planar2",
        "--q-start",
        "0.3",
        "0.8",
        "--line",
        "1.2",
        "0.9",
        "0",
        "--model",
        "none",
        "--no-collisions",
    ],
    "reach": ["reach", "planar2", "--episodes", "1", "--model", "none"],
    "generate": ["generate", "planar2", "--count", "10", "--workers", "1"],
    "plot": ["plot"],
    "evaluate": ["evaluate", "planar2", "--count", "5"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", OPTIONS)
@settings(derandomize=True, max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_odd_word_is_answered_in_bounded_time(
    command: str,
    data: st.DataObject,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where files of these names may land
    option = data.draw(st.sampled_from(OPTIONS[command]))
    words = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    place = ["--out", str(tmp_path / "data")] if command == "generate" else []
    first = data.draw(st.sampled_from(WORDS)) if data.draw(st.booleans()) else None
    plain = PLAIN[command] if first is None or first.startswith("-") else [command, first, *PLAIN[command][2:]]
    begin = time.monotonic()
    try:
        code = main([*plain, *place, option, *words])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 2
    assert code in (0, 2)
    assert time.monotonic() - begin < LONGEST
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    assert len(errors) < 8000
