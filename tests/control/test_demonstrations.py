"""Recorded demonstrations: whole, resumable, the same again, and true to the environment."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow.parquet as pq
import pytest

from ik_mdn.control.demonstrations import (
    COLUMNS,
    Episode,
    episode_path,
    export_minari,
    read_episode,
    record_demonstrations,
)
from ik_mdn.model import read_model, save_model
from sim.errors import DatasetError, IKError, ShapeError
from sim.files import data_folder

SETTINGS: dict[str, Any] = {"arm": "planar3", "tolerance_pos": 0.02}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demonstrations")
    assert len(list(record_demonstrations(folder, SETTINGS, episodes=4, seed=3))) == 4
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_playing_the_recorded_actions_gives_the_recorded_observations(folder: Path) -> None:
    env = gymnasium.make("IKReach-v0", **SETTINGS)
    for index in range(4):
        episode = read_episode(episode_path(folder, index))
        observation, _ = env.reset(seed=episode.seed)
        np.testing.assert_array_equal(observation["desired_goal"], episode.desired_goal)
        for t, action in enumerate(episode.actions):
            np.testing.assert_array_equal(observation["observation"], episode.observations[t])
            observation, reward, terminated, _, info = env.step(action)
            assert reward == episode.rewards[t]
            assert info["collision"] == episode.collisions[t]
        np.testing.assert_array_equal(observation["achieved_goal"], episode.achieved_goals[-1])
        assert terminated
        assert episode.terminated
    env.close()


def test_a_stopped_recording_goes_on_with_the_same_episodes(folder: Path, tmp_path: Path) -> None:
    recording = record_demonstrations(tmp_path, SETTINGS, episodes=4, seed=3)
    next(recording), next(recording)
    recording.close()
    assert len(contents(tmp_path)) == 3  # two episodes, and what they are of
    episode_path(tmp_path, 0).unlink()  # lost: made again
    kept = episode_path(tmp_path, 1).stat().st_mtime_ns
    again = list(record_demonstrations(tmp_path, SETTINGS, episodes=4, seed=3))
    assert [episode.index for episode in again] == [0, 1, 2, 3]
    assert episode_path(tmp_path, 1).stat().st_mtime_ns == kept
    assert contents(tmp_path) == contents(folder)


def test_the_folder_is_one_table_with_the_documented_columns(folder: Path) -> None:
    table = pq.read_table(folder / "episodes")
    assert tuple(table.column_names) == tuple(COLUMNS)
    episodes = [read_episode(episode_path(folder, index)) for index in range(4)]
    assert table.num_rows == sum(map(len, episodes))
    assert table["episode"].to_pylist() == [episode.index for episode in episodes for _ in range(len(episode))]
    assert sum(table["terminated"].to_pylist()) == 4
    assert not any(table["truncated"].to_pylist())


def test_other_settings_and_damaged_files_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"seed is 3 there, 4 here"):
        next(record_demonstrations(folder, SETTINGS, episodes=4, seed=4))
    with pytest.raises(DatasetError, match="other demonstrations: settings is"):
        next(record_demonstrations(folder, {**SETTINGS, "reward": "dense"}, episodes=4, seed=3))
    with pytest.raises(ShapeError, match="episodes >= 1"):
        record_demonstrations(tmp_path, SETTINGS, episodes=0)  # at once, not with the first episode
    scene = tmp_path / "scenes" / "room.yaml"
    scene.parent.mkdir()
    for name, message in (("table", ""), ("shelf", "scene_fingerprint is")):  # another scene under the same name
        scene.write_bytes((data_folder("scenes") / f"{name}.yaml").read_bytes())
        recording = record_demonstrations(tmp_path / "room", {**SETTINGS, "scene": str(scene)}, episodes=1)
        with pytest.raises(DatasetError, match=message) if message else nullcontext():
            next(recording)
    model = tmp_path / "model.safetensors"
    for shipped, message in (("planar3", ""), ("planar3-k1", "model_fingerprint is")):  # another under the same name
        save_model(read_model(shipped), model)
        with pytest.raises(DatasetError, match=message) if message else nullcontext():
            next(record_demonstrations(tmp_path / "modelled", SETTINGS, episodes=1, model=str(model)))
    damaged = episode_path(tmp_path, 0)
    damaged.parent.mkdir()
    damaged.write_bytes(episode_path(folder, 0).read_bytes()[:-100])
    with pytest.raises(DatasetError, match="no episode of demonstrations"):
        read_episode(damaged)
    (tmp_path / "demonstrations.json").write_text("{")
    with pytest.raises(DatasetError, match="is damaged"):
        next(record_demonstrations(tmp_path, SETTINGS, episodes=1))


def test_a_changed_byte_of_an_episode_is_named_or_changes_nothing(folder: Path, tmp_path: Path) -> None:
    whole, rng = episode_path(folder, 0).read_bytes(), np.random.default_rng(0)
    path = tmp_path / "episode.parquet"
    path.write_bytes(whole)
    first, refused = vars(read_episode(path)), 0
    for place in rng.integers(0, len(whole), 200):
        path.write_bytes(whole[:place] + bytes([int(rng.integers(256))]) + whole[place + 1 :])
        try:
            again = vars(read_episode(path))
        except DatasetError:
            refused += 1
        else:
            assert all(np.array_equal(again[name], first[name]) for name in first)
    assert refused > 20


def test_a_recording_is_open_for_one_process(tmp_path: Path) -> None:
    first = record_demonstrations(tmp_path, SETTINGS, episodes=2)
    next(first)
    with pytest.raises(DatasetError, match="another process is writing the demonstrations in"):
        next(record_demonstrations(tmp_path, SETTINGS, episodes=2))
    first.close()  # type: ignore[attr-defined]
    assert len(list(record_demonstrations(tmp_path, SETTINGS, episodes=2))) == 2


def test_minari_reads_what_was_exported(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    episodes = [read_episode(episode_path(folder, index)) for index in range(4)]
    where = export_minari(episodes, SETTINGS, "ikreach/planar3-expert-v0")
    assert where.is_relative_to(tmp_path)
    dataset = minari.load_dataset("ikreach/planar3-expert-v0")
    assert dataset.total_steps == sum(map(len, episodes))
    for there, episode in zip(dataset.iterate_episodes(), episodes, strict=True):
        np.testing.assert_array_equal(there.observations["observation"], episode.observations)
        np.testing.assert_array_equal(there.actions, episode.actions)
    with pytest.raises(IKError, match="Minari cannot make"):
        export_minari(episodes, SETTINGS, "ikreach/planar3-expert-v0")


def test_without_minari_the_message_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    episodes: list[Episode] = [read_episode(episode_path(folder, 0))]
    with pytest.raises(IKError, match=r"pip install 'minari\[arrow\]'"):
        export_minari(episodes, SETTINGS, "ikreach/planar3-expert-v0")


def test_the_script_records_and_reports(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from record_demonstrations import main  # in scripts/

    main("planar2", episodes=2, out=tmp_path / "new")
    said = capfd.readouterr().out
    assert "2 episodes" in said
    assert "2 reached the target" in said
    assert len(list((tmp_path / "new" / "episodes").iterdir())) == 2
    with pytest.raises(IKError, match="planar2"):
        main("planr2", out=tmp_path)
