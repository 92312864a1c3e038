"""Side by side on the same poses: squared error, the mixture, refinement and other solvers; the report page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.comparison.contestants import Contestants as Contestants
    from ik_mdn.comparison.contestants import load_contestants as load_contestants
    from ik_mdn.comparison.execution import ExecutedResult as ExecutedResult
    from ik_mdn.comparison.execution import executed_names as executed_names
    from ik_mdn.comparison.figures import draw_errors as draw_errors
    from ik_mdn.comparison.figures import draw_target_panel as draw_target_panel
    from ik_mdn.comparison.figures import png as png
    from ik_mdn.comparison.learned import PUBLISHED as PUBLISHED
    from ik_mdn.comparison.learned import LearnedResult as LearnedResult
    from ik_mdn.comparison.learned import check_learned as check_learned
    from ik_mdn.comparison.learned import compare_learned as compare_learned
    from ik_mdn.comparison.measuring import MethodResult as MethodResult
    from ik_mdn.comparison.measuring import compare as compare
    from ik_mdn.comparison.methods import METHODS as METHODS
    from ik_mdn.comparison.methods import missing_methods as missing_methods
    from ik_mdn.comparison.page import write_page as write_page
    from ik_mdn.comparison.survey import Survey as Survey
    from ik_mdn.comparison.survey import take_survey as take_survey
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
