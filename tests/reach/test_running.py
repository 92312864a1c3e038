"""Suites that are run: the same numbers every time, no finished episode lost, and honest figures."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import sim
from ik_mdn.cli import main
from ik_mdn.model import load_model, read_model
from ik_mdn.model.recalibration import Recalibration
from ik_mdn.model.saved import ReportCard
from ik_mdn.reach.episodes import COLUMNS, EpisodeFolder
from ik_mdn.reach.figures import draw_figures
from ik_mdn.reach.running import Stage, run_stage, run_suite
from ik_mdn.reach.summary import CLOCKED, describe_episode, summarise_records
from ik_mdn.solver.solver import IKSolver
from sim.errors import SuiteError
from sim.scenes.scene import load_scene
from sim.world.drive import measure_path

ARM = "planar:1,0.7"


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what the clock on the wall measured."""
    return {name: value for name, value in record.items() if name not in CLOCKED}


def read_lines(folder: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    assert all(len(record.pop("checksum")) == 16 for record in records)
    return records


def record_of(episode: int, **changes: Any) -> dict[str, Any]:
    plain = dict.fromkeys(("err_pos", "err_rot", "path_q", "path_tip", "time_execute", *CLOCKED), 0.5)
    head = {"episode": episode, "suite": "uniform", "status": "reached", "reachable": True, "success": True}
    rest = {"moved": True, "contacts": [], "contacts_end": [], "reason": "", "about": "", "n_candidates": 2}
    return {**head, **plain, **rest, **changes}


@pytest.fixture(scope="module")
def stage() -> Stage:
    arm = sim.load_arm("panda")
    return Stage(arm, IKSolver(arm), scene=load_scene("table"))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[EpisodeFolder]:
    with EpisodeFolder(tmp_path / "kept", {"arm": "a", "seed": 0}) as folder:
        folder.append(record_of(0))
        folder.append(record_of(1))
        yield folder


@pytest.mark.slow
def test_an_episode_is_the_same_whatever_ran_before_it(stage: Stage) -> None:
    with stage.open() as (world, controller):
        order = [2, 0, 1, 2]
        done = [describe_episode(*episode) for episode in run_suite(controller, world, order, suite="near-limits")]
    alone = []
    for index in (0, 2):
        with stage.open() as (world, controller):
            alone += [
                describe_episode(*episode) for episode in run_suite(controller, world, [index], suite="near-limits")
            ]
    assert timeless(done[0]) == timeless(done[3]) == timeless(alone[1])
    assert timeless(done[1]) == timeless(alone[0])
    assert done[0]["episode"] == 2
    assert json.dumps(done, allow_nan=False)


@pytest.mark.slow
def test_a_killed_run_loses_no_finished_episode_and_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    options = ["reach", ARM, "--model", "none", "--episodes", "40", "--seed", "3"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ik_mdn", *options, "--out", str(killed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lines = killed / "episodes.jsonl"
    while process.poll() is None and not (lines.exists() and lines.read_bytes().count(b"\n") >= 3):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it must be killed half way"
    before = lines.read_bytes()
    finished = before[: before.rfind(b"\n") + 1]
    assert 3 <= finished.count(b"\n") < 40
    assert not (killed / "summary.json").exists()
    for folder in (killed, whole):
        assert main([*options, "--out", str(folder), "--json", str(tmp_path / f"{folder.name}.json")]) == 0
    assert lines.read_bytes().startswith(finished)
    once, again = read_lines(whole), read_lines(killed)
    assert [record["episode"] for record in again] == list(range(40))
    assert list(map(timeless, again)) == list(map(timeless, once))
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (killed, whole)]
    clocks = [summary["summary"].pop("clock") for summary in summaries]
    assert summaries[0] == summaries[1]
    assert all(clock["time_solve"]["median"] > 0 for clock in clocks)
    again = read_lines(killed)
    assert main([*options, "--out", str(killed)]) == 0  # nothing is left to do
    assert read_lines(killed) == again


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_episodes_come_out_the_same_wherever_they_run(tmp_path: Path, kind: str, request: Any) -> None:
    if kind == "ray":
        request.getfixturevalue("cluster")
    options = ["reach", "ur5e", "--episodes", "6", "--seed", "3", "--suite", "near-limits", "--scene", "table"]
    assert main([*options, "--out", str(tmp_path / "here")]) == 0
    assert main([*options, "--out", str(tmp_path / "there"), "--engine", kind, "--workers", "2"]) == 0
    here, there = (read_lines(tmp_path / name) for name in ("here", "there"))
    there.sort(key=lambda record: record["episode"])
    assert list(map(timeless, here)) == list(map(timeless, there))
    assert (tmp_path / "there" / "run.json").read_bytes() == (tmp_path / "here" / "run.json").read_bytes()


@pytest.mark.slow
def test_the_folder_ends_with_a_table_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "suite"
    assert main(["reach", ARM, "--model", "none", "--episodes", "3", "--out", str(folder)]) == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {"run.json", "episodes.jsonl", "summary.json", "episodes.csv", "figures"}
    assert {path.name for path in (folder / "figures").iterdir()} == {"outcomes.png", "errors.png", "times.png"}
    with (folder / "episodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["status"] for row in rows] == ["reached"] * 3
    assert float(rows[2]["err_pos"]) == read_lines(folder)[2]["err_pos"]
    assert "3 of 3" in capsys.readouterr().out


def test_unreachable_targets_succeed_by_being_refused_with_the_arm_at_rest(tmp_path: Path) -> None:
    out = tmp_path / "u.json"
    options = ["--suite", "unreachable", "--episodes", "5", "--explain", "0", "--json", str(out)]
    assert main(["reach", "planar3", "--model", "none", *options]) == 0
    values = json.loads(out.read_text())
    assert values["summary"]["succeeded"] == 5
    assert values["summary"]["moved"] == 0
    assert values["summary"]["failures"] == {}
    for episode in values["episodes"]:
        assert episode["status"] == "unreachable"
        assert episode["q_end"] == episode["q_start"]
        assert episode["q_made"] is None
    assert values["explained"]["episode"] == 0
    assert values["explained"]["chosen"] is None


def test_success_needs_more_than_reaching() -> None:
    rows = [
        record_of(
            0, contacts=[["hand", "shelf.board"]], success=False, reason="touched on the way: hand and shelf.board"
        ),
        record_of(1, status="missed", success=False, reason="ended 3.2 mm and 0.1 rad from the target"),
        record_of(2, status="missed", success=False, reason="ended 17 mm and 2e-05 rad from the target"),
        record_of(3, status="unreachable", reachable=False, moved=False, err_pos=9.0),
        record_of(4, reachable=False, success=False),
    ]
    summary = summarise_records(reversed(rows))
    assert (summary.episodes, summary.reached, summary.succeeded, summary.touched, summary.moved) == (5, 2, 1, 1, 4)
    assert summary.failures == {
        "missed: ended 17 mm and 2e-05 rad from the target": 2,
        "reached a target that was thought to be out of reach": 1,
        "reached: touched on the way: hand and shelf.board": 1,
    }
    assert summary.err_pos == (0.5, 0.5, 0.5)  # the one that did not move does not count
    assert set(summary.to_dict()["clock"]) == set(CLOCKED)
    assert np.isnan(summarise_records([]).time_solve).all()


def test_samples_are_summed_up_by_median_percentile_and_maximum() -> None:
    values = np.random.default_rng(0).exponential(size=41)
    found = summarise_records([record_of(i, path_q=float(x)) for i, x in enumerate(values)]).path_q
    assert found == (np.sort(values)[20], np.sort(values)[38], values.max())


def test_a_way_is_measured_along_what_was_passed() -> None:
    arm = sim.load_arm("planar:1,0.5")
    turn = np.linspace([0.0, 0.0], [np.pi / 2, 0.0], 2001)
    path_q, path_tip = measure_path(arm, np.concatenate([turn, turn[::-1]]))
    assert path_q == pytest.approx(np.pi, abs=1e-9)
    assert path_tip == pytest.approx(1.5 * np.pi, rel=1e-6)


def test_a_cut_last_line_is_dropped_and_its_episode_runs_again(kept: EpisodeFolder, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "episodes.jsonl"
    kept.__exit__(None, None, None)
    with path.open("ab") as file:
        file.write(b'{"episode":2,"sta')
    with kept as again:
        assert sorted(again.done) == [0, 1]
        again.append(record_of(2))
    assert [record["episode"] for record in read_lines(tmp_path / "kept")] == [0, 1, 2]
    kept.__enter__()


def test_a_damaged_line_in_the_middle_is_named(kept: EpisodeFolder, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "episodes.jsonl"
    kept.__exit__(None, None, None)
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    with pytest.raises(SuiteError, match=r"episodes\.jsonl, line 3, is no episode"), kept:
        pass
    path.write_bytes(b"")
    kept.__enter__()


def test_a_changed_number_in_an_episode_is_noticed(kept: EpisodeFolder, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "episodes.jsonl"
    kept.__exit__(None, None, None)
    whole = path.read_bytes()
    digit = next(i for i, byte in enumerate(whole) if chr(byte) in "12345678" and i > whole.index(b"err_pos"))
    path.write_bytes(whole[:digit] + bytes([whole[digit] + 1]) + whole[digit + 1 :])
    with pytest.raises(SuiteError, match=r"line 1, is no episode \(its checksum does not fit"), kept:
        pass
    path.write_bytes(whole)
    kept.__enter__()


@pytest.mark.parametrize(
    "line", [b"\xff", b"[" * 100_000, b"[]", b"3", b'{"episode": null}', b'{"episode": 1e999}', b'{"suite": "easy"}']
)
def test_a_line_that_is_no_episode_is_named(line: bytes, kept: EpisodeFolder, tmp_path: Path) -> None:
    kept.__exit__(None, None, None)
    with (tmp_path / "kept" / "episodes.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(SuiteError, match=r"episodes\.jsonl, line 3, is no episode"), kept:
        pass


def test_an_episode_without_its_values_is_named_when_the_figures_are_made(kept: EpisodeFolder) -> None:
    kept.append({"episode": 2})
    with pytest.raises(SuiteError, match="has a line that is no whole episode"):
        kept.finish(3)


def test_a_folder_is_open_for_one_run_at_a_time(kept: EpisodeFolder, tmp_path: Path) -> None:
    other = EpisodeFolder(tmp_path / "kept", {"arm": "a", "seed": 0})
    with pytest.raises(SuiteError, match="another process is writing"), other:
        pass


def test_a_folder_of_other_settings_is_refused_by_their_names(kept: EpisodeFolder, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="seed is 0 there, 1 here"):
        EpisodeFolder(tmp_path / "kept", {"arm": "a", "seed": 1})
    with pytest.raises(SuiteError, match=r"speed is None there, 0\.5 here"):
        EpisodeFolder(tmp_path / "kept", {"arm": "a", "seed": 0, "speed": 0.5})


def test_other_peoples_folders_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SuiteError, match="holds other files"):
        EpisodeFolder(tmp_path, {})
    with pytest.raises(SuiteError, match="is a file"):
        EpisodeFolder(tmp_path / "mine.txt", {})
    for text, message in (("{", "is damaged"), ("[]", "is damaged")):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(SuiteError, match=message):
            EpisodeFolder(tmp_path, {})


@pytest.mark.slow
def test_fewer_and_more_episodes_use_what_is_there(kept: EpisodeFolder) -> None:
    assert [record["episode"] for record in kept.records(1)] == [0]
    assert [record["episode"] for record in kept.records(9)] == [0, 1]
    assert kept.finish(1).episodes == 1


@pytest.mark.slow
def test_figures_are_drawn_whatever_happened(tmp_path: Path) -> None:
    assert draw_figures(tmp_path, []) == []
    still = record_of(0, status="unreachable", moved=False, reachable=False)
    for name, rows in {"still": [still], "both": [still, record_of(1, success=False, contacts=[["a", "b"]])]}.items():
        for path in draw_figures(tmp_path / name, rows):
            assert path.read_bytes().startswith(b"\x89PNG")


def test_figures_say_what_they_show_in_plain_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr("ik_mdn.reach.figures.save_figure", lambda figure, path: kept.append(figure))
    draw_figures(tmp_path, [record_of(i, time_solve=15.1, time_decide=0.02 + 0.01 * i) for i in range(4)])
    for figure in kept:
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if text.get_visible()]
        assert figure.get_suptitle() or figure.axes[0].get_title()
        assert not any("e+" in text.get_text() or "e-" in text.get_text() for text in texts)
    errors, times = kept[1:]
    assert {"median", "95th percentile"} <= {text.get_text() for text in errors.legends[0].get_texts()}
    assert "15,100 ms" in [text.get_text() for text in times.axes[0].texts]
    curve, *marks = times.axes[1].lines
    ticks = [label.get_text() for label in times.axes[1].get_xticklabels() if label.get_text()]
    low, high = times.axes[1].get_xlim()
    assert any(low < float(tick) < high for tick in ticks)  # less than a power of ten, and yet there are numbers
    for mark in marks:
        assert mark.get_xdata()[0] in curve.get_xdata()


def test_settings_tell_apart_what_changes_the_numbers(stage: Stage) -> None:
    plain = stage.settings(suite="easy", seed=0)
    assert plain["scene"] == "table"
    assert json.loads(json.dumps(plain)) == plain
    free = Stage(stage.arm, stage.solver)
    other = free.settings(suite="easy", seed=0)
    assert {name for name in plain if plain[name] != other[name]} == {"scene", "scene_fingerprint"}
    slower = Stage(replace(stage.arm, dq_max=0.5 * stage.arm.dq_max), stage.solver, stage.scene)
    other = slower.settings(suite="easy", seed=0)
    assert {name for name in plain if plain[name] != other[name]} == {"description_fingerprint"}


def test_settings_tell_apart_models_by_all_that_they_answer_with() -> None:
    model = read_model("ur5e")
    others = (
        None,
        replace(model, weights={**model.weights, "centre": model.weights["centre"] + np.float32(1e-3)}),
        replace(model, config=replace(model.config, floor=0.5)),
        replace(model, recalibration=Recalibration(2.0)),
        replace(model, proposer=model),
    )
    kept = [Stage(model.arm, IKSolver(model.arm, each)).settings(suite="easy", seed=0) for each in (model, *others)]
    assert len({settings["model_fingerprint"] for settings in kept}) == len(kept)
    same = replace(model, report=ReportCard())  # says nothing of the numbers
    assert IKSolver(model.arm, same).model_fingerprint == kept[0]["model_fingerprint"]
    assert IKSolver(model.arm, load_model("ur5e")).model_fingerprint == kept[0]["model_fingerprint"]  # in torch


def test_a_candidate_without_limits_is_plain_json(stage: Stage) -> None:
    with stage.open() as (world, controller):
        task, result = next(run_suite(controller, world, [0]))
    candidate = result.decision.candidates[0]
    object.__setattr__(candidate, "margin", np.inf)
    described = describe_episode(task, result)["candidates"][0]
    assert described["margin"] is None
    assert described["q"] == candidate.q.tolist()


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*arguments: Any, folder: EpisodeFolder, **options: Any) -> None:
        folder.append(record_of(0))
        raise KeyboardInterrupt

    monkeypatch.setattr("ik_mdn.reach.running.run_stage", stop)
    assert main(["reach", ARM, "--model", "none", "--episodes", "4", "--out", str(tmp_path / "half")]) == 130
    told = capsys.readouterr().err
    assert "1 of 4 episodes are kept" in told
    assert "the same command goes on" in told


@pytest.mark.slow
def test_user_weights_reach_the_controller_and_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "w")
    options = ["reach", ARM, "--model", "none", "--episodes", "1", "--out", folder]
    assert main([*options, "--cost.travel", "2.5"]) == 0
    assert json.loads((tmp_path / "w" / "run.json").read_text())["cost.travel"] == 2.5
    assert main(options) == 2
    assert "cost.travel is 2.5 there, 1.0 here" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suite", "hard"], "unknown suite 'hard'; allowed: uniform"),
        (["--scene", "forest"], "forest"),
        (["--record", "1"], "say which with --out"),
        (["--record", "20", "--out", "x"], "numbers of episodes, 0 to 19"),
        (["--suite", "behind-obstacle"], "there is no obstacle; add a scene"),
    ],
)
def test_wrong_options_are_told(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reach", "planar2", "--model", "none", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_stage_runs_only_what_is_missing(stage: Stage, tmp_path: Path) -> None:
    ran: list[int] = []
    with EpisodeFolder(tmp_path / "s", stage.settings(suite="easy", seed=0)) as folder:
        run_stage(stage, 1, suite="easy", folder=folder, on_episode=lambda record: ran.append(record["episode"]))
        records = run_stage(
            stage, 2, suite="easy", folder=folder, on_episode=lambda record: ran.append(record["episode"])
        )
    assert ran == [0, 1]
    assert [record["episode"] for record in records] == [0, 1]
    assert all(len(record["candidates"]) <= 12 for record in records)
    assert all(record["status"] == "reached" for record in records)


def test_an_explained_episode_stands_in_the_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reach", "planar2", "--episodes", "1", "--explain", "0", "--json", "-"]) == 0
    values = json.loads(capsys.readouterr().out)
    explained, episode = values["explained"], values["episodes"][0]
    chosen = explained["candidates"][explained["chosen"]]
    assert chosen["rejected"] is None
    assert chosen["cost"] == min(each["cost"] for each in explained["candidates"] if each["rejected"] is None)
    assert np.abs(np.array(chosen["q"]) - episode["q_end"]).max() < 1e-3
