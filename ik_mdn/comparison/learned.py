"""Other learned densities beside ours, at equal training time on the same stream; and what others have published."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ik_mdn.evaluation import draw_errors, held_out
from ik_mdn.mixture import checks_kept
from ik_mdn.model import ArmModel, PoseModel
from ik_mdn.training import PoseStream, TrainConfig, Trainer, build_model, stages_of
from sim.arm import Arm
from sim.errors import IKError, ShapeError
from sim.task import Task

POSES, DRAWS = 200, 50  # what is scored

_WIDTH, _BLOCKS, _TRANSFORMS, _BINS = 128, 3, 3, 8
_COMPONENTS = 24
_BATCH, _RATE = 512, 1e-3
_PREPARED = 4096  # samples to scale inputs by


@dataclass(frozen=True)
class LearnedResult:
    """What draws of one trained density are worth; nothing is trimmed.

    Args:
        name: In tables.
        seconds: Of training.
        samples: How many it saw in that time.
        parameters: Its numbers.
        pos_mean, pos_median: Position error of draws by forward kinematics [m].
        rot_mean, rot_median: Rotation error [rad].
        in_limits: Share of the draws in limits, at any number of whole turns.
        us_per_draw: Time to sample [µs].
    """

    name: str
    seconds: float
    samples: int
    parameters: int
    pos_mean: float
    pos_median: float
    rot_mean: float
    rot_median: float
    in_limits: float
    us_per_draw: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class Published(NamedTuple):
    """What a paper says of draws for the Panda arm: published, on other hardware, not measured here."""

    name: str
    pos_mean: float  # [m]
    rot_mean: float | None  # [rad]; None: not said
    source: str


_PAIK = "the authors' record: github.com/duckhanson/PAIK, record/2024_08_18/diversity_over_stds.csv, std {}"
PUBLISHED = (
    Published("PAIK, whole latents", 12.09e-3, 0.0900, _PAIK.format(1.0)),
    Published("PAIK, latents of 0.3", 4.16e-3, 0.0327, _PAIK.format(0.3)),
    Published("PAIK's spline flow, whole latents", 7.47e-3, 0.0601, _PAIK.format(1.0)),
    Published("PAIK's spline flow, latents of 0.3", 3.32e-3, 0.0318, _PAIK.format(0.3)),
    Published(
        "IKFlow",
        6.66e-3,
        0.03543,
        "the authors' record: github.com/jstmn/ikflow, model_performances.md, panda__full__lp191_5.25m, 11 January 2024",
    ),
    Published("NODEIK", 3.2e-3, 0.00524, "Park, Schwartz & Park, ICCAS 2022; the figure is not checked"),
    Published("GraphDiff-IK", 3.47e-3, None, "Whole-body inverse kinematics with graph diffusion, arXiv 2606.00086"),
)


class _Density(NamedTuple):
    """A density to train: its loss on inputs and targets, and draws (count, B, n) for inputs."""

    net: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    sample: Callable[[int, Tensor], Tensor]


def check_learned(arm: Arm, seconds: float) -> None:
    """Find out before the work whether `compare_learned` can do it; it raises the same."""
    try:
        with checks_kept():
            for package in ("zuko", "sbi.neural_nets"):
                import_module(package)
    except ImportError as error:
        raise IKError(
            "the flow and sbi's mixture need zuko and sbi; run: pip install '.[flows]' in the clone"
        ) from error
    if arm.is_prismatic.any() or not seconds > 0:
        raise ShapeError(
            f"learned densities are compared for arms whose joints all turn, for some seconds; got {arm.name!r} and {seconds}"
        )


def compare_learned(arm: Arm, task: Task, seconds: float, *, seed: int = 0) -> Iterator[LearnedResult]:
    """Our mixture, a circular spline flow (zuko) and the mixture of sbi, each trained for so many seconds.

    All see the same features of a pose and joint vectors uniform in limits of which the pose's symmetries are divided out, in
    one stream of samples by seed. Ours trains as by default: of a pose with isolated solutions on all of them, found by
    solving (`TrainConfig.branches`), while the others have the one that made the pose. Targets of the others are blurred by the floor, as ours are by its loss.
    Flow: `zuko.flows.NCSF`, Durkan et al., NeurIPS 2019, on the circle Rezende et al., ICML 2020. Both with AdamW and a
    cosine schedule, hidden layers as wide as ours.

    Args:
        arm: The arm; its joints all turn.
        task: Which part of the pose counts.
        seconds: Of training, for each, on the CPU.
        seed: Of samples and weights.

    Yields:
        One result per density, ours first.

    Raises:
        IKError: zuko or sbi is not installed.
        ShapeError: The arm has a joint that slides, or the seconds are not above 0.
    """
    check_learned(arm, seconds)
    import sbi.neural_nets
    import zuko

    shape = {"width": _WIDTH, "blocks": _BLOCKS, "components": _COMPONENTS, "proposer_width": 0}  # nothing is solved
    config = TrainConfig(minutes=seconds / 60, seed=seed, device="cpu", **shape)  # type: ignore[arg-type]
    _, T = held_out(arm, POSES)
    ours = build_model(arm, config, task=task)
    trainers = []
    for part in stages_of(ours, config):  # one after the other: the last may learn from those before
        trainers.append(Trainer(part.network, part.config, part.stream, branches=part.branches))
        trainers[-1].run()
    spent, steps = (sum(getattr(each, name) for each in trainers) for name in ("seconds", "step"))
    drawn = torch.Generator().manual_seed(seed)
    sample = partial(ours.sample, T, DRAWS, generator=drawn)
    yield _scored("MDN, ours", ours, T, spent, steps * config.batch_size, sample)
    n, whole = arm.n_joints, PoseModel(arm, task, config.model_config())  # for its features

    def flow(x: Tensor, y: Tensor) -> _Density:
        hidden = {"bins": _BINS, "transforms": _TRANSFORMS, "hidden_features": (_WIDTH, _WIDTH)}
        net = zuko.flows.NCSF(n, x.shape[1], **hidden)
        return _Density(net, lambda x, y: -net(x).log_prob(y).mean(), lambda count, x: net(x).sample((count,)))

    def mixture(x: Tensor, y: Tensor) -> _Density:
        build = sbi.neural_nets.posterior_nn("mdn", hidden_features=_WIDTH, num_components=_COMPONENTS)
        net = build(y, x)
        return _Density(net, lambda x, y: net.loss(y, x).mean(), lambda count, x: net.sample((count,), x))

    for name, make in (("neural spline flow, circular (zuko)", flow), ("MDN of sbi", mixture)):
        yield _trained(name, whole, make, T, seconds, config, seed)


def _trained(
    name: str,
    model: PoseModel,
    make: Callable[[Tensor, Tensor], _Density],
    T: Tensor,
    seconds: float,
    config: TrainConfig,
    seed: int,
) -> LearnedResult:
    """A density trained on our samples for so long, and its draws scored."""
    stream, generator = PoseStream(model), torch.Generator().manual_seed(seed)
    x, y = stream.draw(_PREPARED, generator)
    centre, spread = x.mean(0), x.std(0).clamp_min(1e-3)

    def prepared(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        y = y + config.floor * torch.randn(y.shape, dtype=y.dtype, generator=generator)
        return (x - centre) / spread, (torch.remainder(y + torch.pi, 2 * torch.pi) - torch.pi).float()

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        density = make(*prepared(x, y))
        optimizer, steps, started = torch.optim.AdamW(density.net.parameters(), lr=_RATE), 0, time.monotonic()
        while (spent := time.monotonic() - started) < seconds:
            for group in optimizer.param_groups:
                group["lr"] = _RATE * (0.01 + 0.495 * (1 + math.cos(math.pi * spent / seconds)))
            loss = density.loss(*prepared(*stream.draw(_BATCH, generator)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(density.net.parameters(), 5.0)
            optimizer.step()
            steps += 1
        encoded = model.features.encode(T)

        @torch.no_grad()
        def sample() -> Tensor:
            drawn = density.sample(DRAWS, (encoded.features - centre) / spread).double()
            q: Tensor = drawn.transpose(0, 1) + encoded.shift[:, None]
            return q

        density.net.eval()
        return _scored(name, model, T, spent, steps * _BATCH, sample, density.net)


def _scored(
    name: str,
    model: ArmModel,
    T: Tensor,
    seconds: float,
    samples: int,
    sample: Callable[[], Tensor],
    net: nn.Module | None = None,
) -> LearnedResult:
    sample()  # first use pays for allocations
    started = time.perf_counter()
    q = sample()
    spent = time.perf_counter() - started
    return LearnedResult(
        name=name,
        seconds=round(seconds, 1),
        samples=samples,
        parameters=sum(each.numel() for each in (net or model).parameters()),
        us_per_draw=1e6 * spent / (len(T) * DRAWS),
        **draw_errors(model.arm, model.task, q, T),
    )
