"""What a caller may ask of a solve, checked: a wrong kind or size of number is refused by name."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import ShapeError, UnknownNameError
from sim.inputs import as_numbers, check_counts, check_flags, check_sizes

if TYPE_CHECKING:
    from torch import Tensor

    from ik_mdn.model import Postures

Rank: TypeAlias = Literal["weight", "distance", "margin", "manipulability"]
RANKS = ("weight", "distance", "margin", "manipulability")

SEEDS = 32  # per target in the first round
_KEPT = 256  # options of calls that are not read again
_LEAST_TOLERANCE = 1e-12  # [m, rad], about what rounding leaves
_MOST_SEEDS = 2**24  # of one target in its last round; bounds the memory


class Effort(NamedTuple):
    """How much a search may do.

    Args:
        seeds: Most components refined per target; random seeds in the first round.
        draws: Draws from the mixture per target, besides.
        restarts: Most rounds of random seeds per target.
        thorough: Go on until no new branch turns up.
        first: Stop at a target's first solution.
        max_jump: How near to the problem's `near` a solution is to be [rad, m]; None: anywhere.
        seed: Of the random seeds.
        lost: Whether targets may be met very near to singular configurations, so that seeds are lost.
        spread: Random seeds beside a model's, which knows of some of the branches only.
    """

    seeds: int
    draws: int
    restarts: int
    thorough: bool
    first: bool
    seed: int
    max_jump: float | None = None
    lost: bool = False
    spread: int = 0


class Order(NamedTuple):
    """What is wanted of the solutions that were found.

    Args:
        rank: What they are ordered by.
        windings: Whether to add the other windings of each solution inside the limits.
        max_jump: Leave out what is further from the problem's `near` in a joint [rad, m].
        max_solutions: Keep only so many of the best per target.
        closest: Whether the closest approach is wanted where there is none.
        postures: p(q) that solutions are weighed by; None: uniform.
    """

    rank: Rank
    windings: bool = False
    max_jump: float | None = None
    max_solutions: int | None = None
    closest: bool = False
    postures: Postures | None = None


@lru_cache(maxsize=_KEPT, typed=True)
def read_options(
    has_seed: bool,
    has_postures: bool,
    max_jump: float | None,
    rank: Rank | None,
    max_solutions: int | None,
    windings: bool,
    thorough: bool,
    closest: bool,
    timeout: float | None,
    refine: bool,
    seeds: int,
    draws: int,
    restarts: int,
    tolerance: float,
    seed: int,
) -> tuple[Effort, Order]:
    """What the options of `IKSolver.solve` ask for, checked; kept, since most calls ask for the same.

    Args:
        has_seed, has_postures: Whether there is a `q_seed`, and whether the model knows p(q).
        max_jump, rank, max_solutions, windings, thorough, closest, timeout: See `IKSolver.solve`.
        refine, seeds, draws, restarts, tolerance, seed: See there.

    Raises:
        ShapeError, UnknownNameError: One of them makes no sense; by name.
        TypeError: One of them cannot be hashed; `read_options.__wrapped__` says what is wrong with it.
    """
    check_flags(refine=refine, windings=windings, thorough=thorough, closest=closest)
    by = rank_for(rank, has_seed, max_jump)
    check_numbers(seed, seeds, draws, restarts, tolerance, max_solutions, max_jump, timeout)
    effort = Effort(
        seeds=seeds,
        draws=draws,
        restarts=restarts,
        thorough=thorough,
        first=max_solutions == 1 and by == "weight" and max_jump is None and not (thorough or windings or has_postures),
        seed=seed,
        max_jump=max_jump,
        spread=SEEDS if has_postures else 0,  # what is improbable is a solution too
    )
    return effort, Order(by, windings, max_jump, max_solutions, closest)


def check_numbers(
    seed: int,
    seeds: int,
    draws: int,
    restarts: int,
    tolerance: float,
    max_solutions: int | None,
    max_jump: float | None,
    timeout: float | None,
) -> None:
    """Refuse odd numbers among the options of `IKSolver.solve`.

    Raises:
        ShapeError: By name.
    """
    check_counts(0, seed=seed, draws=draws, restarts=restarts)
    check_counts(1, seeds=seeds, max_solutions=1 if max_solutions is None else max_solutions)
    check_seeds(seeds, restarts)
    check_sizes(tolerance=tolerance)
    if tolerance < _LEAST_TOLERANCE:
        raise ShapeError(
            f"got tolerance={tolerance:g}; rounding alone costs more, give at least {_LEAST_TOLERANCE:g} (m, rad)"
        )
    for name, size in (("max_jump", max_jump), ("timeout", timeout)):
        if size is not None and not (isinstance(size, float) and size == math.inf):
            check_sizes(**{name: size})


def check_seeds(seeds: int, restarts: int) -> None:
    """Refuse rounds that double beyond what can be held.

    Raises:
        ShapeError: They do.
    """
    if restarts > 64 or seeds << restarts > _MOST_SEEDS:
        raise ShapeError(
            f"restarts is {restarts} and seeds {seeds}: rounds double up to seeds * 2**restarts, at most {_MOST_SEEDS}; "
            "give fewer"
        )


def rank_for(rank: Rank | None, has_seed: bool, max_jump: float | None) -> Rank:
    """What solutions are ordered by: the rank, or the default.

    Raises:
        UnknownNameError: It is none.
        ShapeError: It, or `max_jump`, is measured from a seed that there is not.
    """
    by = ("distance" if has_seed else "weight") if rank is None else rank
    if not isinstance(by, str) or by not in RANKS:
        raise UnknownNameError(f"unknown rank {by!r}; allowed: {', '.join(RANKS)}", name=by)
    if not has_seed and (by == "distance" or max_jump is not None):
        raise ShapeError("rank='distance' and max_jump are measured from q_seed; give q_seed, shape (n,) or (B, n)")
    return by


def plain_targets(T_base_tip: Any) -> FloatArray | None:
    """Matrices (B, 4, 4) as compiled code takes them, which checks them; None where they are none."""
    plain = type(T_base_tip) is np.ndarray and T_base_tip.dtype.kind == "f"  # not complex, masked, text ...
    if plain and T_base_tip.shape[-2:] == (4, 4) and T_base_tip.ndim <= 3:
        writable = T_base_tip if T_base_tip.flags.writeable else T_base_tip.copy()  # another kind to compiled code
        return np.ascontiguousarray(writable, np.float64).reshape(-1, 4, 4)
    return None


def checked_seed(arm: Arm, q_seed: Tensor | NDArray[np.floating], count: int) -> FloatArray:
    """The joint vectors to stay near, one for each of `count` targets, (count, n).

    Raises:
        ShapeError: They are none.
    """
    q = as_numbers(q_seed, "q_seed")
    shapes = ((arm.n_joints,), (count, arm.n_joints))
    if q.shape not in shapes or not np.isfinite(q).all():
        raise ShapeError(f"q_seed has shape {q.shape}; it must be finite, of shape {shapes[0]} or {shapes[1]}")
    return np.array(np.broadcast_to(q, shapes[1]), order="C")
