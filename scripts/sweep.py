"""Search for what to train, arm by arm: python scripts/sweep.py --arms ur5e panda --trials 40 --steps 3000.

Every trial trains one model with a small budget and is judged on poses that neither training nor report cards see. Optuna
(extra `sweep`) proposes the next one from those that are done (TPE; Bergstra et al. 2011) and ends hopeless ones early. What
is done is kept in a journal file, or in any database by its URL, so a stopped sweep goes on, and several machines may work on
one study. Trials run here, in processes of this machine (--engine processes), or on a Ray cluster (--engine ray), where the
journal must lie in a folder that all machines share, or --storage name a database.

    python scripts/sweep.py --arms ur5e --engine ray --address auto --storage postgresql://user@host/studies
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from results import run_script, to_markdown

from ik_mdn.cli.console import progress, write_json
from ik_mdn.cli.options import Address, EngineName
from sim.arm import load_arm
from sim.errors import IKError
from sim.executor import Engine

Objective = Literal["nll", "draws"]

_SEED = 7_001  # of the poses that trials are judged on
_POSES = 2_000
_REPORTS = 20  # times that a trial is compared with the others while it trains


def main(
    arms: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ARM [ARM ...]")] = ("ur5e",),
    *,
    trials: int = 20,
    steps: int = 2000,
    minutes: float = 0.0,
    objective: Objective = "nll",
    name: str = "sweep",
    storage: Annotated[str, tyro.conf.arg(metavar="FILE|URL")] = "runs/sweep/journal.log",
    engine: EngineName = "local",
    workers: int | None = None,
    address: Address = None,
    cpus: float = 1,
    seed: int = 0,
    out: Path = Path("out/sweep.json"),
) -> None:
    """Search, and print the best of each arm.

    Args:
        arms: Built-in names or URDFs; each is a study of its own.
        trials: Of each arm, those counted that are done already.
        steps, minutes: Budget of a trial; see `TrainConfig`.
        objective: What is made small: nll, the mean of -log p(q | T) in nats, or draws, the mean error of draws, position over
            reach plus angle [rad].
        name: Of the studies, before the arm's name and fingerprint.
        storage: A journal file, or the URL of a database that Optuna (SQLAlchemy) knows.
        workers: Of the engine "processes"; without it, one per core.
        cpus: Cores that a trial occupies on Ray.
        seed: Of proposals and trainings.
        out: All trials as JSON.
    """
    if steps < 1 and minutes <= 0:
        raise IKError(f"a trial needs a budget: --steps is {steps}, --minutes {minutes}")
    for arm in arms:
        load_arm(arm)  # rather than fail in every trial
    storage = storage if "://" in storage else str(Path(storage).absolute())
    task = partial(run_trial, name, storage, objective, {"steps": steps, "minutes": minutes}, seed)
    todo = [(arm, number) for number in range(trials) for arm in arms if number >= count_done(name, storage, arm)]
    begin = {arm: len(open_study(name, storage, arm).trials) for arm in arms}  # also those that nobody finished
    with progress(note="best") as bar:
        job = bar.add_task("trials", total=len(arms) * trials, completed=len(arms) * trials - len(todo), note="")
        items = [(arm, begin[arm] + number) for arm, number in todo]
        with closing(Engine(engine, workers, address, cpus).completed(task, items)) as done:
            for (arm, _), value in done:
                bar.update(
                    job, advance=1, note=f"{arm}: {'ended early or failed' if value is None else f'{value:.3g}'}"
                )
    results = {arm: list(describe_trials(open_study(name, storage, arm))) for arm in arms}
    write_json(str(out), {"objective": objective, "steps": steps, "minutes": minutes, "arms": results})
    print(table(results))
    for arm, trials_of_arm in results.items():
        if failed := [trial["error"] for trial in trials_of_arm if "error" in trial]:
            print(f"{arm}: {len(failed)} of {len(trials_of_arm)} trials failed, one of them: {failed[0]}")
    print(out)


def suggest(trial: Any) -> dict[str, Any]:
    """What of a `TrainConfig` a trial chooses."""
    return {
        "components": trial.suggest_int("components", 4, 64, log=True),
        "width": trial.suggest_categorical("width", [64, 128, 256, 512]),
        "blocks": trial.suggest_int("blocks", 1, 6),
        "covariance": trial.suggest_categorical("covariance", ["diagonal", "full"]),
        "batch_size": trial.suggest_categorical("batch_size", [512, 1024, 2048, 4096]),
        "learning_rate": trial.suggest_float("learning_rate", 2e-4, 1e-2, log=True),
        "matrix_rate": trial.suggest_float("matrix_rate", 2e-3, 1e-1, log=True),
        "floor": trial.suggest_float("floor", 2e-3, 5e-2, log=True),
    }


def run_trial(
    name: str, storage: str, objective: Objective, budget: dict[str, float], seed: int, item: tuple[str, int]
) -> float | None:
    """One trial: ask the study what to train, train it, tell how good it is; None where it was ended early or failed.

    Args:
        name, storage: Of the study.
        objective: See `main`.
        budget: Of training.
        seed: Of the sweep.
        item: The arm, and the number that the trial's random choices follow from.
    """
    import optuna

    arm, number = item
    sampler_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study = open_study(name, storage, arm, seed=sampler_seed)
    trial = study.ask()
    begin = time.perf_counter()
    try:
        value = train_and_judge(arm, trial, objective, budget, seed)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return None
    except IKError as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return None
    trial.set_user_attr("seconds", time.perf_counter() - begin)
    study.tell(trial, value)
    return value


def train_and_judge(arm: str, trial: Any, objective: Objective, budget: dict[str, float], seed: int) -> float:
    """How good the model is that a trial chooses; `optuna.TrialPruned` where it falls behind the others half way."""
    import optuna
    import torch

    from ik_mdn.evaluation.drawing import score_draws
    from ik_mdn.evaluation.report import held_out
    from ik_mdn.training import Progress, TrainConfig, train

    torch.set_num_threads(1)
    loaded, looked = load_arm(arm), 0
    config = replace(TrainConfig(steps=int(budget["steps"]), minutes=budget["minutes"], seed=seed), **suggest(trial))

    def look(now: Progress) -> None:
        nonlocal looked
        if int(_REPORTS * now.fraction) > looked:
            looked = int(_REPORTS * now.fraction)
            trial.report(now.loss, looked)
            if trial.should_prune():
                raise optuna.TrialPruned

    model = train(loaded, config, on_progress=look).model
    assert model is not None
    trial.set_user_attr("parameters", sum(each.numel() for each in model.parameters()))
    q, T = held_out(loaded, _POSES, seed=_SEED)
    with torch.no_grad():
        if objective == "nll":
            return -float(model.log_prob(T, q).mean())
        scores = score_draws(model, T)
    return scores.pos_mean / float(loaded.reach) + scores.rot_mean


def open_study(name: str, storage: str, arm: str, *, seed: int = 0) -> Any:
    """The study of an arm, made if it is not there; another arm of the same name has another one.

    Raises:
        IKError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise IKError("optuna is not installed; it comes with the extra: pip install '.[sweep]' in the clone") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if "://" in storage:
        kept: Any = storage
    else:
        Path(storage).parent.mkdir(parents=True, exist_ok=True)
        kept = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
    loaded = load_arm(arm)
    return optuna.create_study(
        storage=kept,
        study_name=f"{name}-{loaded.name}-{loaded.fingerprint}",
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=_REPORTS // 4),
        load_if_exists=True,
    )


def count_done(name: str, storage: str, arm: str) -> int:
    """How many trials of an arm have ended, well or not; one whose worker was killed has not."""
    return sum(trial.state.is_finished() for trial in open_study(name, storage, arm).trials)


def describe_trials(study: Any) -> Iterator[dict[str, Any]]:
    """The finished trials, the best one first, those without a value last."""
    ended = [trial for trial in study.trials if trial.state.is_finished()]
    for trial in sorted(ended, key=lambda t: t.value if t.state.name == "COMPLETE" else float("inf")):
        value = trial.value if trial.state.name == "COMPLETE" else None
        yield {"number": trial.number, "state": trial.state.name, "value": value, **trial.params, **trial.user_attrs}


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """The best trial of each arm, as Markdown."""
    columns = ["value", "components", "width", "blocks", "covariance", "batch_size", "learning_rate", "matrix_rate"]
    columns += ["floor", "seconds"]
    rows = []
    for arm, trials in results.items():
        best = next((trial for trial in trials if trial["value"] is not None), {})
        cells = [
            f"{best[name]:.3g}" if isinstance(best.get(name), float) else str(best.get(name, "")) for name in columns
        ]
        rows.append([arm, f"{sum(t['value'] is not None for t in trials)} of {len(trials)}", *cells])
    return to_markdown(["arm", "trained to the end", *columns], rows)


if __name__ == "__main__":
    run_script(main)
