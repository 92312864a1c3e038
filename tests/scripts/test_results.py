"""What the scripts share: kept measurements are made once for each setting, and tables have their shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from results import in_order, keep, run_script, to_markdown

from sim.executor import Engine


def test_a_measurement_is_made_once_for_each_setting(tmp_path: Path) -> None:
    made: list[int] = []

    def measure() -> dict[str, int]:
        made.append(len(made))
        return {"number": made[-1]}

    path = tmp_path / "folder" / "section.json"
    assert [keep(path, {"seed": 0, "arms": ("a",)}, measure)["number"] for _ in range(3)] == [0, 0, 0]
    assert keep(path, {"seed": 1, "arms": ("a",)}, measure)["number"] == 1
    assert keep(path, {"seed": 1, "arms": ("a",)}, measure, again=True)["number"] == 2
    assert len(made) == 3


def test_a_table_has_text_on_the_left_and_numbers_on_the_right() -> None:
    assert to_markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n|---|---:|\n| x | 1 |"


def test_a_script_ends_with_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit) as stop:
        run_script(main)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "error: stopped by Ctrl-C; the same command goes on where it stopped\n"


def test_results_come_in_the_order_of_the_items() -> None:
    class Backwards(Engine):
        def completed(self, task: Any, items: Any) -> Any:
            yield from ((item, task(item)) for item in reversed(items))

    assert list(in_order(str, [3, 1, 2], Backwards())) == [(3, "3"), (1, "1"), (2, "2")]
