"""Our solutions against closed forms: every branch of theirs is ours and the other way round, also near singularities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarking.answers import CLAIMED, Answers, found_again, judge, nearest_branch, true_branches
from benchmarking.methods import Method, Unavailable, check_agreement
from benchmarking.poses import OFFSETS, SINGULARITIES, Poses, singular_poses, uniform_poses

from ik_mdn.solver.solver import IKSolver
from sim.arm import Arm, load_arm

POSES, SINGULAR_POSES = 40, 3
NO_BRANCHES = 1e-6  # [rad] so near to its wrist's singularity a ur5e meets the pose to 1e-12 along a whole curve


def ask(arm: Arm, method: Method, poses: Poses) -> Answers:
    """What a peer answers in limits, as far as it is exact."""
    raw = method.batch(method.prepare(poses.T).whole)
    answers = judge(arm, poses, [method.read(answer) for answer in raw])
    return answers[answers.inside & (answers.error <= CLAIMED)]


def solve(arm: Arm, poses: Poses) -> Answers:
    """What our thorough mode finds; every one must be a solution."""
    found = IKSolver(arm).solve(poses.T, thorough=True)
    answers = judge(arm, poses, [one.q for one in found])
    assert answers.inside.all()
    assert answers.error.max() <= 1e-8
    return answers


def missed(arm: Arm, these: Answers, by: Answers) -> Answers:
    """Those of the branches that have no answer near."""
    matched = nearest_branch(arm, these, by)
    left = np.ones(len(these.q), bool)
    left[matched[matched >= 0]] = False
    return these[left]


def test_peers_solve_for_the_arm_that_we_solve_for(oracle: tuple[Arm, Method]) -> None:
    arm, method = oracle
    poses = uniform_poses(arm, 100, 1)
    assert check_agreement(method, poses.q, poses.T) < 1e-12


def test_every_closed_form_branch_is_ours_and_every_one_of_ours_is_closed_form(oracle: tuple[Arm, Method]) -> None:
    arm, method = oracle
    poses = uniform_poses(arm, POSES, 2)
    theirs, ours = ask(arm, method, poses), solve(arm, poses)
    truth = true_branches(arm, poses, [theirs, ours])
    assert len(truth.q) > 2 * POSES
    assert len(missed(arm, truth, by=ours).q) == 0
    assert len(missed(arm, truth, by=theirs).q) == 0
    assert len(ours.q) == len(truth.q), "no duplicate"


@pytest.mark.parametrize("kind", list(SINGULARITIES))
def test_near_singularities_every_closed_form_branch_is_ours(oracle: tuple[Arm, Method], kind: str) -> None:
    arm, method = oracle
    parts = [singular_poses(arm, kind, offset, SINGULAR_POSES, 3) for offset in OFFSETS if offset > NO_BRANCHES]
    poses = Poses(np.concatenate([part.q for part in parts]), np.concatenate([part.T for part in parts]))
    ours = solve(arm, poses)
    truth = true_branches(arm, poses, [ask(arm, method, poses)])
    left = missed(arm, truth, by=ours)
    assert len(left.q) == 0, f"poses {left.pose} have branches that were not found"
    assert found_again(arm, poses, ours, 1e-8) == 1.0


def test_an_arm_without_closed_form_is_refused_before_it_ends_the_process() -> None:
    pytest.importorskip("eaik", reason="EAIK is not installed")
    from benchmarking.closed_form import Eaik

    with pytest.raises(Unavailable, match="no decomposition for this arm"):
        Eaik(load_arm("xarm6"), threads=1)


def test_a_missing_peer_says_how_to_get_it(folder: Path) -> None:
    from benchmarking.methods import installed_version

    with pytest.raises(Unavailable, match=r"not installed: pip install -c constraints.txt -e '.\[bench\]'"):
        installed_version("no-such-distribution")
