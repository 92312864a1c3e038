"""What a model knows, measured on poses it has not seen: errors, scores, calibration, report cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.evaluation.diagnostics import Evaluation as Evaluation
    from ik_mdn.evaluation.diagnostics import evaluate as evaluate
    from ik_mdn.evaluation.diversity import measure_diversity as measure_diversity
    from ik_mdn.evaluation.drawing import draw_errors as draw_errors
    from ik_mdn.evaluation.figures import draw_evaluation as draw_evaluation
    from ik_mdn.evaluation.formatting import DEGREES as DEGREES
    from ik_mdn.evaluation.formatting import degrees as degrees
    from ik_mdn.evaluation.formatting import distance as distance
    from ik_mdn.evaluation.formatting import millimetres as millimetres
    from ik_mdn.evaluation.formatting import number as number
    from ik_mdn.evaluation.formatting import percent as percent
    from ik_mdn.evaluation.metrics import SUCCESS_LEVELS as SUCCESS_LEVELS
    from ik_mdn.evaluation.metrics import ErrorSummary as ErrorSummary
    from ik_mdn.evaluation.metrics import Quantiles as Quantiles
    from ik_mdn.evaluation.metrics import pose_errors as pose_errors
    from ik_mdn.evaluation.metrics import summarise_errors as summarise_errors
    from ik_mdn.evaluation.poses import HELD_OUT_SEED as HELD_OUT_SEED
    from ik_mdn.evaluation.poses import held_out as held_out
    from ik_mdn.evaluation.ranks import simulation_based as simulation_based
    from ik_mdn.evaluation.recalibrating import covered as covered
    from ik_mdn.evaluation.recalibrating import recalibrate as recalibrate
    from ik_mdn.evaluation.report import is_under_trained as is_under_trained
    from ik_mdn.evaluation.report import measure_report as measure_report
    from ik_mdn.evaluation.scores import crps as crps
    from ik_mdn.evaluation.scores import energy_score as energy_score
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
