"""Training: samples, the trainer, runs that resume, and how many components to take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.training.config import TrainConfig as TrainConfig
    from ik_mdn.training.configurations import OwnConfigurations as OwnConfigurations
    from ik_mdn.training.configurations import read_configurations as read_configurations
    from ik_mdn.training.configurations import suited_to as suited_to
    from ik_mdn.training.figures import draw_choice as draw_choice
    from ik_mdn.training.figures import plot_training as plot_training
    from ik_mdn.training.model_training import add_proposer as add_proposer
    from ik_mdn.training.model_training import add_reach as add_reach
    from ik_mdn.training.model_training import train as train
    from ik_mdn.training.processes import rank as rank
    from ik_mdn.training.recordings import read_joints as read_joints
    from ik_mdn.training.runs import Progress as Progress
    from ik_mdn.training.scores import ModelSelection as ModelSelection
    from ik_mdn.training.selection import choose as choose
    from ik_mdn.training.stages import build_model as build_model
    from ik_mdn.training.stages import stages_of as stages_of
    from ik_mdn.training.streams import PoseStream as PoseStream
    from ik_mdn.training.toys import TOY_RECIPE as TOY_RECIPE
    from ik_mdn.training.toys import FixedStream as FixedStream
    from ik_mdn.training.toys import Toy as Toy
    from ik_mdn.training.toys import descend as descend
    from ik_mdn.training.toys import fit as fit
    from ik_mdn.training.toys import starved_start as starved_start
    from ik_mdn.training.toys import swapped_sine as swapped_sine
    from ik_mdn.training.toys import three_answers as three_answers
    from ik_mdn.training.toys import two_sided as two_sided
    from ik_mdn.training.trainer import Trainer as Trainer
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
