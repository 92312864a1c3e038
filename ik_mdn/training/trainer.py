"""One training loop for every model: streams samples, anneals, averages, checkpoints, resumes."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ik_mdn.mixture import entropy_bonus, nll, ordering_penalty
from ik_mdn.model import ConditionalNetwork, MixtureHead, PoseModel, choose_device, spread_means
from ik_mdn.training.branches import Branches
from ik_mdn.training.closeness import distance_of_draws
from ik_mdn.training.config import TrainConfig
from ik_mdn.training.interrupts import interrupts_wait
from ik_mdn.training.likelihood import Answers, compiled_nll, compiles_for
from ik_mdn.training.optimizers import build_optimizers, group_of, states_of, step_by
from ik_mdn.training.processes import Processes
from ik_mdn.training.products import coarse_gradients
from ik_mdn.training.recording import RecordedStep
from ik_mdn.training.runs import Progress, RunFolder
from ik_mdn.training.streams import Stream
from sim.errors import TrainingError
from sim.files import parse_json

_log = logging.getLogger(__name__)

_PREPARE_SAMPLES = 16_384
_LOG_EVERY = 50  # steps between rows of the metrics file, and between looks at whether a GPU's numbers are finite
_TELL_EVERY_S = 1.0
_SAVE_EVERY_S = 30.0
_REFRESHED_AT = (0.05, 0.1, 0.2, 0.4, 0.7)  # shares of the budget
_WARM_UP_STEPS, _WARM_UP_SHARE = 200, 0.05  # the learning rate rises over so many steps, or so much of a short run


class Trainer:
    """State of one training run: model, averaged model, optimiser, sample stream, clock.

    Args:
        model: Freshly built, or to be trained further.
        config: How to train it.
        stream: What to train it on.
        run_folder: Where to keep state and metrics, or None to keep nothing; no other run may use it until `run` ends.
        identity: What else must agree (JSON types) for a run folder to be taken up again.
        branches: What the stream finds branches by, to be told of the network as it is so far.
        goes_on: Take the network as it is; it is trained already.

    Raises:
        TrainingError: The run folder holds another run, or a damaged state; or the distance of draws is asked for of a
            network without an arm.
    """

    def __init__(
        self,
        model: ConditionalNetwork,
        config: TrainConfig,
        stream: Stream,
        *,
        run_folder: Path | str | None = None,
        identity: Mapping[str, Any] | None = None,
        branches: Branches | None = None,
        goes_on: bool = False,
    ) -> None:
        if config.draws_weight and not isinstance(model, PoseModel):
            raise TrainingError("draws_weight needs the kinematics of an arm, and this network has none; set it to 0")
        self.device = choose_device(config.device)
        self.model, self.config, self.stream = model.to(self.device), config, stream
        self.branches, self.refreshed = branches, 0
        self.guide: dict[str, Tensor] = {}  # the weights that branches are found with
        self.step, self.seconds = 0, 0.0
        self.processes = Processes.joined(self.device)
        if self.processes.size > 1 and (config.minutes or not config.steps):
            raise TrainingError("several processes must stop together: give steps, and no minutes")
        self.batch_size = self.processes.part_of(config.batch_size)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        if not goes_on:
            self._prepare()
        self.averaged = {name: value.clone() for name, value in model.state_dict().items()}
        self.optimizers = build_optimizers(model, config)
        self._now = torch.zeros(3, device=self.device)  # floor, share of the learning rates, share of the average
        self.folder: RunFolder | None = None
        if run_folder is not None and not self.processes.rank:
            settings = parse_json(json.dumps(asdict(config)))
            del settings["device"]
            self.folder = RunFolder(run_folder, {**(identity or {}), **settings})
        try:
            self._resume()
        except BaseException:
            if self.folder is not None:
                self.folder.close()
            raise

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        """Train to the end of the budget; then the model has the averaged weights, on the CPU, in evaluation mode.

        Ctrl-C is answered between two steps, so that the state which is then saved is one of an undisturbed training.

        Args:
            on_progress: Called every 50 steps, where these are slow every second, and at the end.

        Raises:
            TrainingError: The loss or a gradient is not finite. On this, as on Ctrl-C, the state is saved first.
        """
        try:
            with interrupts_wait() as check_interrupt, _fast_matrices():
                try:
                    self._train(on_progress, check_interrupt)
                finally:
                    self.save_state()
        finally:
            if self.folder is not None:
                self.folder.close()
        self.model.load_state_dict(self.averaged)
        self.model.floor = self.config.floor
        self.model.cpu().eval()

    def _train(self, on_progress: Callable[[Progress], None] | None, check_interrupt: Callable[[], None]) -> None:
        started, losses = time.monotonic() - self.seconds, torch.zeros((), device=self.device)
        saved, told, counted = self.seconds, self.seconds, 0
        seed, start = self.processes.seed(self.config.seed), self.step
        batches = self.stream.batches(self.batch_size, self.generator, seed=seed, start=start)
        while self.fraction < 1.0:
            check_interrupt()
            self._refresh()
            loss = self._advance(*next(batches))
            losses, counted = losses + loss, counted + 1
            self.seconds = time.monotonic() - started
            is_row = self.step % _LOG_EVERY == 0 or self.fraction >= 1.0
            if is_row or self.seconds - told >= _TELL_EVERY_S:
                at = Progress(self.step, self.fraction, float(losses) / counted, self.model.floor, self.seconds)
                self._report(at, on_progress, is_row=is_row)
                told = self.seconds
            if is_row:
                losses, counted = torch.zeros_like(losses), 0
            if self.seconds - saved > _SAVE_EVERY_S and self.step % _LOG_EVERY == 0:
                self.save_state()
                saved = self.seconds

    @property
    def fraction(self) -> float:
        """How much of the budget is used, 0 to 1."""
        by_steps = self.step / self.config.steps if self.config.steps else 0.0
        by_time = self.seconds / (60 * self.config.max_minutes)
        return min(1.0, max(by_steps, by_time))

    def summary(self) -> dict[str, Any]:
        """What training cost, for the report card."""
        return {
            "steps": self.step,
            "samples": self.step * self.config.batch_size,
            "minutes": round(self.seconds / 60, 2),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "seed": self.config.seed,
            "device": "CPU" if self.device.type == "cpu" else torch.cuda.get_device_name(self.device),
        }

    def save_state(self) -> None:
        """Write everything that resuming needs into the run folder, atomically; a state that is not finite never."""
        if self.folder is None or not all(bool(v.isfinite().all()) for v in self.averaged.values()):
            return
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"averaged.{k}": v for k, v in self.averaged.items()}
        tensors |= {f"guide.{k}": v for k, v in self.guide.items()}
        for name, optimizer in self.optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{k}": v for k, v in state.items()}
        tensors |= {"generator": self.generator.get_state(), "refreshed": torch.tensor(self.refreshed)}
        self.folder.save(tensors, step=self.step, seconds=self.seconds)

    def _refresh(self) -> None:
        """Find branches with the averaged weights of now, at some points of the budget."""
        if self.branches is None:
            return
        due = sum(self.fraction >= at for at in _REFRESHED_AT)
        if due > self.refreshed:
            self.refreshed, self.guide = due, {name: value.clone() for name, value in self.averaged.items()}
            self.branches.refresh(self.guide)

    def _advance(self, x: Tensor, y: Tensor, *answers: Answers) -> Tensor:
        """One step on inputs (B, n_in) and targets (B, D), or `Answers` of them; returns the loss."""
        self.model.floor, rate = self._schedule()
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        self._now.copy_(torch.tensor([self.model.floor, rate, 1 - decay]))
        loss, norm = self._take(x, y, *answers)
        if self.step % _LOG_EVERY == 0:
            self._guard(loss, norm, y)
        self.step += 1
        return loss

    def _take_step(self, x: Tensor, y: Tensor, answers: Answers | None = None) -> tuple[Tensor, Tensor]:
        """Change the weights and their average; returns the loss and the length of the gradient."""
        floor, rate, share = self._now.unbind()
        if self.config.noise:
            noise = torch.randn(x.shape, generator=self.generator, device=x.device)
            x = x + self.config.noise * self.model.spread * noise
        with coarse_gradients(x.device):
            loss = self._loss(x, y, floor, answers)
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.average(p.grad for p in self.model.parameters() if p.grad is not None)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        if self.device.type == "cpu":  # elsewhere to look is to wait
            self._guard(loss, norm, y)
        step_by(self.optimizers.values(), rate)
        self._average(share)
        return loss.detach(), norm

    def _loss(self, x: Tensor, y: Tensor, floor: Tensor, answers: Answers | None = None) -> Tensor:
        if self.model.kind == "mse":
            return self.model.regression_loss(x, y)
        config, head = self.config, self.model.head
        assert isinstance(head, MixtureHead)
        numbers = self.model.numbers(x)
        is_compiled = compiles_for(x.device)
        if config.adds_to_likelihood or not is_compiled:
            mixture = head.mixture_of(head.parts_of(numbers), floor=float(floor))
        if is_compiled:
            loss = compiled_nll(head, numbers, y, floor, answers)
        else:
            loss = nll(mixture, y.float(), blur=float(floor))
        if config.entropy_weight:
            loss = loss + entropy_bonus(mixture, config.entropy_weight * max(0.0, 1 - 2 * self.fraction))
        if config.ordering_weight:
            loss = loss + ordering_penalty(mixture, config.ordering_weight)
        if config.draws_weight:
            assert isinstance(self.model, PoseModel)
            loss = loss + config.draws_weight * distance_of_draws(self.model, mixture, y, generator=self.generator)
        return loss

    @cached_property
    def _take(self) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
        """How a step is taken: recorded where nothing in it changes but tensors."""
        config = self.config
        changes = config.noise or config.adds_to_likelihood
        fixed = not changes and (self.model.kind == "mse" or compiles_for(self.device))
        if self.device.type == "cpu" or self.processes.size > 1 or not fixed:
            return self._take_step
        return RecordedStep(self._take_step)

    def _schedule(self) -> tuple[float, float]:
        """Floor and share of the learning rates at this point of the budget."""
        config, t = self.config, self.fraction
        end = max(config.floor, 1e-12)
        done = min(1.0, t / config.anneal)
        floor = max(config.floor_start, end) * (end / max(config.floor_start, end)) ** done
        warm_up = min(1.0, max((self.step + 1) / _WARM_UP_STEPS, t / _WARM_UP_SHARE))
        rate = warm_up * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t)))
        return floor, rate

    def _average(self, share: Tensor) -> None:
        """Move the averaged weights by a share, (), of the way to the present ones."""
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.averaged[name].lerp_(value, share.to(value.dtype))

    def _guard(self, loss: Tensor, norm: Tensor, y: Tensor) -> None:
        if bool(torch.isfinite(loss) & torch.isfinite(norm)):
            return
        bad = [name for name, p in self.model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        raise TrainingError(
            f"training stopped at step {self.step + 1}: loss {float(loss.detach()):g}, gradient norm {float(norm):g}, "
            f"floor {self.model.floor:.3g}, targets finite: {bool(y.isfinite().all())}, "
            f"gradients not finite in: {', '.join(bad[:4]) or 'none'}. The last good state is kept; "
            "try a lower learning_rate, a higher floor, or a smaller clip",
            step=self.step + 1,
        )

    def _prepare(self) -> None:
        """Scale the inputs and spread the initial means over a sample."""
        x, y = self.stream.draw(_PREPARE_SAMPLES, self.generator)
        self.model.prepare(x, y)
        if isinstance(head := self.model.head, MixtureHead):
            means = spread_means(y[:4096], head.shape.components, self.model.period, generator=self.generator)
            head.start_from(means.float(), scale=self.config.start_scale)

    def _report(self, progress: Progress, on_progress: Callable[[Progress], None] | None, *, is_row: bool) -> None:
        if self.folder is not None and is_row:
            self.folder.write_row((progress.step, progress.seconds, progress.loss, progress.floor))
        if on_progress is not None:
            on_progress(progress)

    def _resume(self) -> None:
        """Go on where the folder's run stands, if it stands anywhere; all processes as the first one does."""
        found = self.processes.share(None if self.folder is None else self.folder.load())
        if found is None:
            if self.processes.rank:
                self.generator.manual_seed(self.processes.seed(self.config.seed))
            return
        tensors, self.step, self.seconds = found
        if 0 < self.config.steps < self.step:
            _log.warning(
                "the run has had %d steps already, more than the %d asked for: it stays as it is; for a shorter one take "
                "another run folder",
                *(self.step, self.config.steps),
            )
        try:
            self._set_generator(tensors["generator"])
            self.model.load_state_dict(group_of(tensors, "model."))
            self.averaged = {name: value.to(self.device) for name, value in group_of(tensors, "averaged.").items()}
            self.guide, self.refreshed = group_of(tensors, "guide."), int(tensors["refreshed"])
            if self.branches is not None and self.guide:
                self.branches.refresh(self.guide)
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict({**optimizer.state_dict(), "state": states_of(group_of(tensors, f"{name}."))})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            where = "its folder" if self.folder is None else self.folder.folder
            raise TrainingError(
                f"the state in {where} is damaged ({' '.join(str(error).split())}); delete it to start again"
            ) from error

    def _set_generator(self, state: Tensor) -> None:
        """Go on with the same random numbers; on another kind of device, or in another process, with new ones."""
        if len(state) == len(self.generator.get_state()) and not self.processes.rank:
            self.generator.set_state(state)
        else:
            self.generator.manual_seed(self.processes.seed(self.config.seed) + self.step)


@contextmanager
def _fast_matrices() -> Iterator[None]:
    """Products of single precision are TF32 on a GPU, with which draws came out as good."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
