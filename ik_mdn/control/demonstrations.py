"""Demonstrations: what the expert saw and did in the reach environment, one Parquet file per episode."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import DatasetError, IKError
from sim.files import claim_folder, locked, whole_file
from sim.inputs import check_counts

if TYPE_CHECKING:
    from ik_mdn.control.expert import Expert

Floats = NDArray[np.float32]

FORMAT, VERSION = "ik-mdn demonstrations", 2
COLUMNS = {
    "episode": "number of the episode, from 0",
    "step": "number of the step in the episode, from 0",
    "observation": "before the action: joint positions, then velocities",
    "achieved_goal": "before the action: where the tip is",
    "desired_goal": "where it should be",
    "action": "what the expert did",
    "reward": "of the action",
    "next_observation": "after the action",
    "next_achieved_goal": "after the action",
    "terminated": "the target is reached",
    "truncated": "the time is over",
    "collision": "something touched during the action",
}
_MANIFEST = "demonstrations.json"


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T steps.

    Args:
        index: Its number in the recording.
        seed: That the environment was reset with.
        observations: Shape (T + 1, 2 n): before each action, and at the end.
        achieved_goals: Shape (T + 1, g).
        desired_goal: Shape (g,).
        actions: Shape (T, a).
        rewards: Shape (T,).
        collisions: Whether each step had a contact, shape (T,).
        terminated: Whether it ended at the target; otherwise time was over.
    """

    index: int
    seed: int
    observations: Floats
    achieved_goals: Floats
    desired_goal: Floats
    actions: Floats
    rewards: NDArray[np.float64]
    collisions: NDArray[np.bool_]
    terminated: bool

    def __post_init__(self) -> None:
        assert len(self.observations) == len(self.achieved_goals) == len(self.actions) + 1

    def __len__(self) -> int:
        return len(self.actions)


def record_demonstrations(
    folder: Path | str,
    settings: Mapping[str, Any],
    *,
    episodes: int,
    seed: int = 0,
    model: str | None = None,
) -> Iterator[Episode]:
    """Let the expert play episodes and write each to a file as it ends; what is there already is read instead.

    Every episode follows from `seed` and its number alone, so that a stopped recording goes on with the same
    episodes, and a longer one begins with those of a shorter one.

    Args:
        folder: Where to; it is made. Episodes lie in `episodes/episode-000000.parquet` and so on, and
            `demonstrations.json` says what they are of.
        settings: Arguments of `sim.environment.ReachEnv`, JSON types only.
        episodes: How many.
        seed: Of the recording, from 0.
        model: See `ik_mdn.control.expert.Expert`.

    Returns:
        An iterator over the episodes; each is played when it is asked for.

    Raises:
        ShapeError: episodes or seed is out of range.
        DatasetError: The folder holds demonstrations of something else; it comes with the first episode.
    """
    check_counts(1, episodes=episodes)
    check_counts(0, seed=seed)
    return _record(Path(folder), settings, episodes, seed, model)


def _record(
    folder: Path, settings: Mapping[str, Any], episodes: int, seed: int, model: str | None
) -> Iterator[Episode]:
    import gymnasium

    from ik_mdn.control.expert import Expert
    from ik_mdn.solver import solver_for
    from sim.environment import ENV_ID, register_environments

    register_environments()
    with closing(gymnasium.make(ENV_ID, **settings)) as env:
        bare: Any = env.unwrapped
        solver = solver_for(bare.arm, model, task=bare.task)
        about = _describe(bare, settings, seed, model) | {"model_fingerprint": solver.model_fingerprint}
        claim_folder(folder / _MANIFEST, about, what="demonstrations", error=DatasetError)
        lock = locked(folder / ".lock", what=f"the demonstrations in {folder}", error=DatasetError)
        with lock, Expert(env, solver=solver) as expert:
            for index in range(episodes):
                path = episode_path(folder, index)
                if path.exists():
                    yield read_episode(path)
                else:
                    episode = play_episode(env, expert, index, seed=seed)
                    write_episode(path, episode)
                    yield episode


def play_episode(env: Any, expert: Expert, index: int, *, seed: int = 0) -> Episode:
    """The expert's episode of one number.

    Args:
        env: Made by `gymnasium.make`, so that it ends.
        expert: Of this environment.
        index: Number of the episode, from 0.
        seed: Of the recording.
    """
    seed_episode = int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
    expert.reset()
    observation, _ = env.reset(seed=seed_episode)
    seen, actions, rewards, collisions = [observation], [], [], []
    done = terminated = False
    while not done:
        actions.append(expert.act(observation))
        observation, reward, terminated, truncated, info = env.step(actions[-1])
        seen.append(observation)
        rewards.append(float(reward))
        collisions.append(bool(info["collision"]))
        done = terminated or truncated
    return Episode(
        index=index,
        seed=seed_episode,
        observations=np.stack([each["observation"] for each in seen]),
        achieved_goals=np.stack([each["achieved_goal"] for each in seen]),
        desired_goal=observation["desired_goal"],
        actions=np.stack(actions),
        rewards=np.array(rewards),
        collisions=np.array(collisions),
        terminated=bool(terminated),
    )


def episode_path(folder: Path | str, index: int) -> Path:
    """Where an episode lies: in a subfolder of episodes alone, which readers of Parquet take as one table."""
    return Path(folder) / "episodes" / f"episode-{index:06d}.parquet"


def write_episode(path: Path, episode: Episode) -> None:
    """Write an episode, one row per step, with the columns `COLUMNS`; the file is whole or not there.

    Args:
        path: The file; its folder is made.
        episode: What to write.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = len(episode)
    last = np.arange(count) == count - 1
    columns: dict[str, Any] = {
        "episode": np.full(count, episode.index, np.int32),
        "step": np.arange(count, dtype=np.int32),
        "observation": episode.observations[:-1],
        "achieved_goal": episode.achieved_goals[:-1],
        "desired_goal": np.tile(episode.desired_goal, (count, 1)),
        "action": episode.actions,
        "reward": episode.rewards,
        "next_observation": episode.observations[1:],
        "next_achieved_goal": episode.achieved_goals[1:],
        "terminated": last & episode.terminated,
        "truncated": last & (not episode.terminated),
        "collision": episode.collisions,
    }
    assert tuple(columns) == tuple(COLUMNS)
    arrays = {
        name: pa.array(values)
        if values.ndim == 1
        else pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1])
        for name, values in columns.items()
    }
    about = {"ik_mdn_seed": str(episode.seed), "ik_mdn_checksum": _checksum(episode.seed, columns)}
    table = pa.table(arrays).replace_schema_metadata(about)
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_episode(path: Path) -> Episode:
    """The episode of a file.

    Raises:
        DatasetError: It is damaged, or holds something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None)
        column = {name: _matrix(table[name]) for name in COLUMNS}
        seed = int(table.schema.metadata[b"ik_mdn_seed"])
        if table.schema.metadata[b"ik_mdn_checksum"].decode() != _checksum(seed, column):
            raise ValueError("its checksum does not fit its content")
        return Episode(
            index=int(column["episode"][0]),
            seed=seed,
            observations=np.concatenate([column["observation"], column["next_observation"][-1:]]),
            achieved_goals=np.concatenate([column["achieved_goal"], column["next_achieved_goal"][-1:]]),
            desired_goal=column["desired_goal"][0],
            actions=column["action"],
            rewards=column["reward"],
            collisions=column["collision"],
            terminated=bool(column["terminated"][-1]),
        )
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise DatasetError(f"{path} is no episode of demonstrations ({why}); remove it to record it again") from error


def export_minari(episodes: list[Episode], settings: Mapping[str, Any], name: str) -> Path:
    """Where the Minari dataset lies that is made here of episodes.

    Minari is the collection of offline datasets that goes with Gymnasium (https://minari.farama.org); its datasets
    lie in `~/.minari`, or where MINARI_DATASETS_PATH says.

    Args:
        episodes: At least one.
        settings: Arguments of the environment.
        name: Such as "ikreach/panda-expert-v0".

    Raises:
        IKError: Minari is not installed, or refuses the name; the message says what to do.
    """
    try:
        import minari
        from minari.data_collector import EpisodeBuffer
    except ImportError as error:
        raise IKError("Minari is not installed (it needs Python 3.11); run: pip install 'minari[arrow]'") from error
    import gymnasium

    from sim.environment import ENV_ID, register_environments

    register_environments()
    env = gymnasium.make(ENV_ID, **settings)
    buffers = [EpisodeBuffer(**_minari_fields(number, episode)) for number, episode in enumerate(episodes)]
    about = f"Reaching targets with {settings.get('arm', 'panda')}: exact inverse kinematics, played as joint displacements."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for the author's name, which is the user's to give
            dataset = minari.create_dataset_from_buffers(
                dataset_id=name,
                buffer=buffers,
                env=env,
                algorithm_name="scripted expert",
                description=about,
                data_format="arrow",
            )
    except ValueError as error:
        raise IKError(f"Minari cannot make {name!r}: {error}") from error
    finally:
        env.close()
    return Path(dataset.storage.data_path)


def _minari_fields(number: int, episode: Episode) -> dict[str, Any]:
    last = np.arange(len(episode)) == len(episode) - 1
    goals = np.tile(episode.desired_goal, (len(episode) + 1, 1))
    return {
        "id": number,
        "seed": episode.seed,
        "observations": {
            "achieved_goal": episode.achieved_goals,
            "desired_goal": goals,
            "observation": episode.observations,
        },
        "actions": episode.actions,
        "rewards": episode.rewards.tolist(),
        "terminations": (last & episode.terminated).tolist(),
        "truncations": (last & (not episode.terminated)).tolist(),
        "infos": {},
    }


def _describe(env: Any, settings: Mapping[str, Any], seed: int, model: str | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "settings": dict(settings),
        "seed": seed,
        "model": model,
        "fingerprint": env.arm.fingerprint,
        "description_fingerprint": env.arm.description_fingerprint,
        "scene_fingerprint": "" if env.scene is None else env.scene.fingerprint,
        "task": env.task.name,
        "observation": list(env.observation_names),
        "goal": list(env.goals.names),
        "action": list(env.control.names),
        "action_scale": env.control.scale.tolist(),
        "columns": COLUMNS,
    }


def _checksum(seed: int, columns: Mapping[str, NDArray[Any]]) -> str:
    """Of an episode's seed and columns, whatever way they are stored."""
    digest = hashlib.sha256(str(seed).encode())
    for name in COLUMNS:
        digest.update(f"{name} {columns[name].dtype.str} {columns[name].shape}".encode() + columns[name].tobytes())
    return digest.hexdigest()[:16]


def _matrix(column: Any) -> NDArray[Any]:
    """A column as an array, (T,) or (T, width)."""
    import pyarrow as pa

    array = column.combine_chunks()
    if not pa.types.is_fixed_size_list(array.type):
        return np.array(array.to_numpy(zero_copy_only=False))
    return np.array(array.flatten().to_numpy()).reshape(len(array), array.type.list_size)
