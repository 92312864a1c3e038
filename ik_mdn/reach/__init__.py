"""Reach tasks: suites of targets, running and resuming them, summaries, films."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.reach.episodes import EpisodeFolder as EpisodeFolder
    from ik_mdn.reach.episodes import Record as Record
    from ik_mdn.reach.recording import Recorder as Recorder
    from ik_mdn.reach.recording import film_name as film_name
    from ik_mdn.reach.recording import record_episode as record_episode
    from ik_mdn.reach.recording import record_reaches as record_reaches
    from ik_mdn.reach.running import Stage as Stage
    from ik_mdn.reach.running import run_stage as run_stage
    from ik_mdn.reach.running import run_suite as run_suite
    from ik_mdn.reach.suites import ReachTask as ReachTask
    from ik_mdn.reach.suites import check_suite as check_suite
    from ik_mdn.reach.suites import make_tasks as make_tasks
    from ik_mdn.reach.summary import ReachSummary as ReachSummary
    from ik_mdn.reach.summary import summarise_records as summarise_records
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
