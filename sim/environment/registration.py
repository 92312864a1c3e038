"""The environments by name, for `gymnasium.make`; importing `sim.environment` registers them."""

from __future__ import annotations

ENV_ID = "IKReach-v0"
MAX_EPISODE_STEPS = 240  # 10 s at 24 steps per second


def register_environments() -> None:
    """Make `gymnasium.make("IKReach-v0")` known; a second call does nothing."""
    from gymnasium.envs.registration import register, registry

    if ENV_ID not in registry:
        register(id=ENV_ID, entry_point="sim.environment:ReachEnv", max_episode_steps=MAX_EPISODE_STEPS)
