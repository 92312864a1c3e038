"""What the scripts share: kept measurements are made once for each setting, and tables have their shape."""

from __future__ import annotations

import importlib
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from results import DATA, FIGURES, RESULTS, in_order, keep, run_script, ships_by_default, to_markdown

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


ASIDE = [Path("out/some.json"), Path("out/some.png"), Path("out/some")]


@pytest.mark.parametrize(
    ("words", "moved"),
    [
        ("", []),
        ("--threads 8", []),
        ("--arms a", ASIDE),
        ("--quick", ASIDE),
        ("--quick --out data/results/some.json", ASIDE[1:]),
        (f"--quick --out {RESULTS / 'some.json'} --figure x.png --runs x", []),
    ],
)
def test_only_a_whole_run_takes_the_place_of_what_ships(
    words: str, moved: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places: list[Path] = []

    @ships_by_default("threads")
    def main(
        arms: tuple[str, ...] = ("a", "b"),
        *,
        threads: int = 2,
        quick: bool = False,
        out: Path = RESULTS / "some.json",
        figure: Path = FIGURES / "some.png",
        runs: Path = Path("runs/some"),
    ) -> None:
        """A script."""
        places.extend([out, figure, runs])

    monkeypatch.setattr("sys.argv", ["script", *words.split()])
    with pytest.raises(SystemExit) as stop:
        run_script(main)
    assert not stop.value.code
    assert [place for place in places if place in ASIDE] == moved
    said = " ".join(capsys.readouterr().err.split())
    assert said == (f"{words.split()[0]}: not what ships, so it goes to {', '.join(map(str, moved))}" if moved else "")


SCRIPTS = "benchmark compare_arms cost diversity kruse_arm measure_gpu reach_suites robots track_paths train_models"


@pytest.mark.parametrize("name", SCRIPTS.split())
def test_every_script_whose_defaults_ship_leaves_them_alone_when_asked_for_else(name: str) -> None:
    main = importlib.import_module(name).main
    ships = any(
        isinstance(p.default, Path) and p.default.is_relative_to(DATA) for p in signature(main).parameters.values()
    )
    assert hasattr(main, "__wrapped__") == ships
