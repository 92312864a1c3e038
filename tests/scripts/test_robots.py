"""The table of robots: every chain once, what is refused with the reason, nothing wider than a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import robots
from pages import measured

from sim.arm.catalogue import planar_urdf

FORK = """<robot name="fork"><link name="base"/><link name="arm"/><link name="left"/><link name="right"/><link name="eye"/>
<joint name="turn" type="revolute"><parent link="base"/><child link="arm"/><axis xyz="0 0 1"/>{limit}</joint>
<joint name="a" type="revolute"><parent link="arm"/><child link="left"/><origin xyz="1 0 0"/><axis xyz="0 0 1"/>{limit}</joint>
<joint name="b" type="revolute"><parent link="arm"/><child link="right"/><origin xyz="1 0 0"/><axis xyz="0 0 1"/>{limit}
<mimic joint="a"/></joint>
<joint name="c" type="fixed"><parent link="left"/><child link="eye"/><origin xyz="0.5 0 0"/></joint></robot>""".replace(
    "{limit}", '<limit lower="-2" upper="2" effort="50" velocity="2"/>'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "zoo"
    (place / "deep").mkdir(parents=True)
    (place / "deep" / "planar.urdf").write_text(planar_urdf((0.5, 0.4), name="planar"))
    (place / "copy.urdf").write_text(planar_urdf((0.5, 0.4), name="planar"))
    (place / "fork.urdf").write_text(FORK)
    (place / "stone.urdf").write_text('<robot name="stone"><link name="stone"/></robot>')
    (place / "torn.urdf").write_text("<robot")
    return place


def test_each_arm_counts_once_and_what_is_refused_says_why(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "robots.json"
    robots.main((folder,), poses=20, targets=1, json=out, work=tmp_path / "work")
    found = json.loads(out.read_text())
    assert [(chain["file"], chain["tip"], chain["joints"]) for chain in found["chains"]] == [
        ("zoo/copy.urdf", "tool0", 2),
        ("zoo/fork.urdf", "eye", 2),
    ]
    for chain in found["chains"]:
        assert chain["solved"] == 20
        assert chain["off_bullet"] < 1e-9
        assert chain["given_twice"] == 0
        assert chain["reached"] == {"reached": 1}
    assert (found["files"], found["without_joints"]) == (5, 1)
    assert [file for file, _, _ in robots.reasons(found)] == ["fork", "torn"]
    assert "mimics" in found["refused"][0]["why"]
    assert str(tmp_path) not in out.read_text()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "2 of 2 chains solved all 20 poses; poses with a solution given twice: 0" in lines
    assert "| `copy.urdf` | `tool0` | 2 |" in measured.robots_page(found)


def test_a_stopped_run_goes_on_where_it_stopped(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "robots.json"
    robots.main((folder,), poses=2, targets=0, json=out, work=tmp_path / "work")
    first = out.read_text()
    monkeypatch.setattr(robots, "look_at", lambda *_, **__: pytest.fail("looked at again"))
    robots.main((folder,), poses=2, targets=0, json=out, work=tmp_path / "work")
    assert out.read_text() == first
