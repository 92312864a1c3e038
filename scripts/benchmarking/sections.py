"""What is measured for one arm, section by section; each finished section is kept in a file and not measured again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from results import keep

from benchmarking.answers import EXACT, Answers, found_again, judge, score, success, true_branches
from benchmarking.baseline import network_worth
from benchmarking.clocks import beside_others, clock, median_and_range, ratios, take_turns
from benchmarking.floors import time_parts, time_refinement
from benchmarking.methods import Method
from benchmarking.ours import OURS, RESTARTS, THOROUGH, Ours, our_methods, peer_methods, takes
from benchmarking.poses import OFFSETS, SINGULARITIES, Poses, singular_poses, uniform_poses
from benchmarking.redundant import Diverse, measure_coverage, time_many
from ik_mdn.model.checkpoint import find_shipped
from ik_mdn.solver import IKSolver, solver_for
from sim.arm.arm import Arm

UNION = ("EAIK", "ssik", THOROUGH)  # whose answers make the truth
OUR_SEEDS = (1, 2, 4, 8, 16, 32, 64)
RANDOM_SEEDS = (4, 8, 16, 32, 64, 128, 256, 512)

_CURVE_ROUNDS = 3
_PATIENCE = 60.0  # [s] for the thorough mode on one set of singular poses: where branches meet it may find thousands

Step = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How much is measured; the same for every arm.

    Args:
        poses: Uniform in joint space.
        slow: The first so many of them, for methods that are slow or have no batch call.
        singles: The first so many of them asked one by one, in every round.
        singular: Poses per singularity and offset.
        many: Poses of redundant arms whose self-motion is compared with a dense reference.
        rounds: Of timing.
        threads: Of torch, numba and the peers that can use them.
        seed: Of all poses, guesses and restarts.
    """

    poses: int = 10_000
    slow: int = 1_000
    singles: int = 300
    singular: int = 250
    many: int = 20
    rounds: int = 5
    threads: int = 2
    seed: int = 0


class Measurement:
    """All sections of one arm.

    Args:
        arm: The arm.
        settings: How much.
        folder: Where finished sections, descriptions and built modules are kept.
        model: A file of a model for this arm; None for the shipped one, where there is one.
        again: Measure also what is kept.
    """

    def __init__(
        self, arm: Arm, settings: Settings, folder: Path, *, model: Path | None = None, again: bool = False
    ) -> None:
        self.arm, self.settings, self.folder, self.again = arm, settings, folder, again
        self._model_file = model or find_shipped(arm)
        self.solver = solver_for(arm, model)
        self.ours: list[Ours] = our_methods(self.solver, settings.threads)
        self.peers, self.left_out = peer_methods(arm, folder, threads=settings.threads, seed=settings.seed)
        self.methods: list[Method] = [*self.ours, *self.peers]
        self.poses = uniform_poses(arm, settings.poses, settings.seed)
        self.reference = OURS if self.solver.model is not None else RESTARTS  # what ratios are of

    @property
    def sections(self) -> dict[str, Callable[[Step], Any]]:
        """Name → the function that measures it."""
        six, has_model = self.arm.n_joints == 6, self.solver.model is not None
        out: dict[str, Callable[[Step], Any]] = {"answers": self.measure_answers, "times": self.measure_times}
        out |= {"singular": self.measure_singular, "curve": self.measure_curve} if six else {"many": self.measure_many}
        out |= {"parts": self.measure_parts} if has_model else {}
        out |= {"worth": self.measure_worth} if has_model and six else {}
        return out | {"refinement": self.measure_refinement}

    def run(self, on_section: Callable[[], None], on_step: Step) -> dict[str, Any]:
        """Every section, kept ones read from their files.

        Args:
            on_section: Called after each section.
            on_step: Called with what comes next.
        """
        out: dict[str, Any] = {"joints": self.arm.n_joints, "model": self.solver.model is not None}
        out["reference"], out["left_out"], out["bystanders"] = self.reference, self.left_out, {}
        out["methods"] = {
            m.name: {"version": m.version, "threads": m.threads, "gives_all": m.gives_all, "note": m.note}
            for m in self.methods
        }
        for name, measure in self.sections.items():
            on_step(name)
            path = self.folder / f"{self.arm.name}-{name}.json"
            out[name], out["bystanders"][name] = keep(
                path, self._key, partial(beside_others, partial(measure, on_step)), again=self.again
            )
            on_section()
        return out

    def close(self) -> None:
        """Let go of what the methods hold."""
        for method in self.methods:
            method.close()

    def measure_answers(self, step: Step) -> dict[str, Any]:
        """Recall with false and duplicate answers against the union, and success of the first solution in limits."""
        out: dict[str, Any] = {}
        every: dict[str, Answers] = {}
        for method in self.methods:
            step(f"answers: {method.name}")
            poses = self.poses if method.gives_all else self.poses.first(self.settings.slow)
            prepared = method.prepare(poses.T)
            if method.gives_all and self.arm.n_joints == 6:
                every[method.name] = judge(self.arm, poses, [method.read(a) for a in method.batch(prepared.whole)])
            first = judge(self.arm, poses, [method.read_first(method.first(target)) for target in prepared.single])
            out[method.name] = {
                "poses": len(poses),
                "success_1e-3": success(first, len(poses), 1e-3),
                "success_1e-6": success(first, len(poses), 1e-6),
            }
        if every:
            truth = true_branches(self.arm, self.poses, [every[name] for name in UNION if name in every])
            for name, answers in every.items():
                one = score(self.arm, truth, answers)
                out[name] |= {**asdict(one), "recall": one.recall}
        return out

    def measure_singular(self, step: Step) -> dict[str, Any]:
        """Share of near-singular poses whose generating configuration was found again: kind → offset → method."""
        out: dict[str, Any] = {}
        for kind in SINGULARITIES:
            for offset in OFFSETS:
                poses = singular_poses(self.arm, kind, offset, self.settings.singular, self.settings.seed)
                cell: dict[str, Any] = {"poses": len(poses)}
                for method in [self._patient(m) for m in self.methods if m.gives_all]:
                    step(f"{kind} {offset:.0e}: {method.name}")
                    raw = method.batch(method.prepare(poses.T).whole)
                    answers = judge(self.arm, poses, [method.read(answer) for answer in raw])
                    cell[method.name] = {
                        "1e-8": found_again(self.arm, poses, answers, EXACT),
                        "1e-6": found_again(self.arm, poses, answers, 1e-6),
                        "solved_1e-6": success(answers, len(poses), 1e-6),
                        "most_answers": int(np.bincount(answers.pose, minlength=1).max()),
                    }
                out.setdefault(kind, {})[f"{offset:.0e}"] = cell
        return out

    def measure_times(self, step: Step) -> dict[str, Any]:
        """Times of every method in turns, and ratios to ours within each round."""
        s = self.settings
        times = take_turns(
            self.methods,
            self.poses.T,
            rounds=s.rounds,
            singles=s.singles,
            slow=s.slow,
            on_turn=lambda name: step(f"times: {name}"),
        )
        relative = ratios(times, self.reference)
        return {name: {**one.to_dict(), "ratio": relative[name]} for name, one in times.items()}

    def measure_worth(self, step: Step) -> dict[str, Any]:
        """Random restarts at the recall of the model's seeds."""
        poses = self.poses.first(self.settings.slow)
        return asdict(network_worth(self.solver, poses, self._truth(poses), seed=self.settings.seed + 1))

    def measure_curve(self, step: Step) -> dict[str, Any]:
        """Recall and CPU time per pose in a batch: ours and random restarts by number of seeds, the others as they are."""
        poses = self.poses.first(self.settings.slow)
        truth = self._truth(poses)
        bare, threads = IKSolver(self.arm), self.settings.threads
        points: list[tuple[str, Method]] = [(m.name, m) for m in self.methods if m.gives_all and m.name != RESTARTS]
        if self.solver.model is not None:
            points += [(f"{OURS}:{n}", Ours(OURS, self.solver, threads, seeds=n, restarts=0)) for n in OUR_SEEDS]
        points += [(f"{RESTARTS}:{n}", Ours(RESTARTS, bare, threads, seeds=n, restarts=1)) for n in RANDOM_SEEDS]
        prepared = {key: method.prepare(poses.T) for key, method in points}
        seconds: dict[str, list[float]] = {key: [] for key, _ in points}
        out: dict[str, Any] = {}
        for number in range(_CURVE_ROUNDS):
            for key, method in points:
                step(f"curve: {key}")
                seconds[key].append(clock(partial(method.batch, prepared[key].whole)).cpu / len(poses))
                if not number:
                    raw = method.batch(prepared[key].whole)
                    one = score(self.arm, truth, judge(self.arm, poses, [method.read(a) for a in raw]))
                    out[key] = {"recall": one.recall, "missed": one.branches - one.found, "branches": one.branches}
        for key, values in seconds.items():
            out[key]["us"] = median_and_range([1e6 * x for x in values])
        return out

    def measure_parts(self, step: Step) -> dict[str, Any]:
        """Where our time goes, and the floors."""
        return time_parts(self.solver, self.poses, self.settings.rounds)

    def measure_refinement(self, step: Step) -> dict[str, Any]:
        """The compiled refinement against torch and against its floor."""
        return time_refinement(self.solver, self.poses, self.settings.rounds)

    def measure_many(self, step: Step) -> dict[str, Any]:
        """A hundred solutions of one pose: how many are exact, what they leave uncovered, and their time."""
        methods: list[Method] = [Diverse(self.solver, self.settings.threads)]
        methods += [m for m in self.peers if m.name == "ssik"]
        poses = self.poses.first(self.settings.many)
        coverage = measure_coverage(self.arm, poses, methods, seed=self.settings.seed)
        larger = self.poses.first(self.settings.slow)
        times = time_many(methods, larger, self.settings.rounds, lambda name: step(f"many: {name}"))
        return {m.name: {"note": m.note, **coverage[m.name], **times[m.name]} for m in methods}

    def _patient(self, method: Method) -> Method:
        """The method; the thorough mode with a time limit."""
        if method.name != THOROUGH or not takes("timeout"):
            return method
        solver, threads = self.ours[0].solver, self.settings.threads
        return Ours(THOROUGH, solver, threads, thorough=True, timeout=_PATIENCE)

    def _truth(self, poses: Poses) -> Answers:
        union = [m for m in self.methods if m.name in UNION]
        answers = [judge(self.arm, poses, [m.read(a) for a in m.batch(m.prepare(poses.T).whole)]) for m in union]
        return true_branches(self.arm, poses, answers)

    @property
    def _key(self) -> dict[str, Any]:
        """What the kept sections must have been measured with."""
        file = self._model_file
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file is not None else str(None)
        versions = {m.name: m.version for m in self.methods}
        return {
            "settings": asdict(self.settings),
            "arm": self.arm.fingerprint,
            "model": digest,
            "versions": versions,
            "form": 2,  # a section with what others did meanwhile
        }
