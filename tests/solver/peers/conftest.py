"""The oracles: closed-form solvers by other people, loaded from the very same chain, skipped where not installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarking.closed_form import Eaik, Ssik
from benchmarking.description import write_chain
from benchmarking.methods import Method, Unavailable

from sim.arm import Arm, load_arm


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where chains are written and peers keep what they build."""
    return tmp_path_factory.mktemp("peers")


@pytest.fixture(scope="session", params=["EAIK ur5e", "EAIK puma560", "ssik ur5e", "ssik puma560"])
def oracle(request: pytest.FixtureRequest, folder: Path) -> tuple[Arm, Method]:
    """An arm and a peer that has all its solutions in closed form."""
    name, _, arm_name = request.param.partition(" ")
    arm = load_arm(arm_name)
    try:
        method = Eaik(arm, threads=1) if name == "EAIK" else Ssik(arm, write_chain(arm, folder), folder)
    except Unavailable as reason:
        pytest.skip(f"{name} cannot serve as an oracle: {reason}")
    return arm, method
