"""From a pose to a mixture: features, network, seeds, and the file that a trained model is kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.model.chain import ArmModel as ArmModel
    from ik_mdn.model.chain import ChainModel as ChainModel
    from ik_mdn.model.chain import from_saved as from_saved
    from ik_mdn.model.chain import model_for as model_for
    from ik_mdn.model.checkpoint import check_kept as check_kept
    from ik_mdn.model.checkpoint import find_shipped as find_shipped
    from ik_mdn.model.checkpoint import load_fitting as load_fitting
    from ik_mdn.model.checkpoint import load_model as load_model
    from ik_mdn.model.checkpoint import read_model as read_model
    from ik_mdn.model.checkpoint import save_model as save_model
    from ik_mdn.model.checkpoint import shipped_models as shipped_models
    from ik_mdn.model.conditional import ConditionalNetwork as ConditionalNetwork
    from ik_mdn.model.config import LOG_SCALE_RANGE as LOG_SCALE_RANGE
    from ik_mdn.model.config import Covariance as Covariance
    from ik_mdn.model.config import Kind as Kind
    from ik_mdn.model.config import MixtureShape as MixtureShape
    from ik_mdn.model.config import ModelConfig as ModelConfig
    from ik_mdn.model.config import Targets as Targets
    from ik_mdn.model.config import first_config as first_config
    from ik_mdn.model.config import shape_of as shape_of
    from ik_mdn.model.devices import choose_device as choose_device
    from ik_mdn.model.devices import number_by_torchrun as number_by_torchrun
    from ik_mdn.model.export import compare_onnx as compare_onnx
    from ik_mdn.model.export import write_onnx as write_onnx
    from ik_mdn.model.features import NEAR_AXIS as NEAR_AXIS
    from ik_mdn.model.features import ON_AXIS as ON_AXIS
    from ik_mdn.model.features import WAVES as WAVES
    from ik_mdn.model.features import PoseFeatures as PoseFeatures
    from ik_mdn.model.features import features_for as features_for
    from ik_mdn.model.limits import draw_uniform as draw_uniform
    from ik_mdn.model.limits import inside as inside
    from ik_mdn.model.network import MixtureHead as MixtureHead
    from ik_mdn.model.network import MixtureParts as MixtureParts
    from ik_mdn.model.network import spread_means as spread_means
    from ik_mdn.model.pose_model import PoseModel as PoseModel
    from ik_mdn.model.postures import Postures as Postures
    from ik_mdn.model.postures import circular_period as circular_period
    from ik_mdn.model.postures import log_volume as log_volume
    from ik_mdn.model.reach import ReachNetwork as ReachNetwork
    from ik_mdn.model.recalibration import Recalibration as Recalibration
    from ik_mdn.model.saved import SavedModel as SavedModel
    from ik_mdn.model.tensors import read_tensors as read_tensors
    from ik_mdn.model.tensors import write_tensors as write_tensors
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
