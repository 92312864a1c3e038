"""All lessons in their order, and drawing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ik_mdn.teaching.answers import draw_elbows, draw_one_component, draw_two_answers, draw_worked_example
from ik_mdn.teaching.choosing import draw_bias_variance, draw_data_sets
from ik_mdn.teaching.fitting import draw_floor, draw_gradients, draw_log_sum_exp, draw_responsibilities
from ik_mdn.teaching.lesson import Lesson
from ik_mdn.teaching.pitfalls import draw_collapse, draw_label_switching, draw_ordering, draw_shared_mode, draw_winding
from sim.errors import UnknownNameError
from sim.files import whole_file

LESSONS = (
    Lesson(
        "two_answers",
        "Two answers and their mean",
        "Where y is +2 or -2, the network trained by squared error predicts 0, where there are no data; the mixture "
        "predicts both answers, each with its spread.",
        draw_two_answers,
    ),
    Lesson(
        "one_component",
        "One component is regression with a spread of its own",
        "With K = 1 the network learns the mean and the standard deviation σ(x) together (heteroscedastic regression): "
        "the band widens where the data scatter more.",
        draw_one_component,
    ),
    Lesson(
        "worked_example",
        "Variance within and between",
        "The mixture of weights 0.5, 0.3, 0.2, means 1, 3, -2 and σ 0.4, 0.7, 1.5 has the variance 3.677: 0.677 within "
        "its components, which no knowledge of the component removes, and 3 between their means.",
        draw_worked_example,
    ),
    Lesson(
        "elbows",
        "An arm has two elbows",
        "Every point within reach of a planar arm has two answers, mirror images; the mixture has a component for "
        "each, and the mean of the two is a straight or folded arm that misses.",
        draw_elbows,
    ),
    Lesson(
        "responsibilities",
        "Who answers for which sample",
        "The responsibilities rₖ say which component explains a sample; the weights πₖ(x) hand over from one component "
        "to the next where the curve folds.",
        draw_responsibilities,
    ),
    Lesson(
        "gradients",
        "Gradients by hand",
        "The gradient of the negative log-likelihood is π - r for the logits and r Σ⁻¹(μ - y) for the means: computed by "
        "hand (bars) it agrees with automatic differentiation (dots) to rounding.",
        draw_gradients,
    ),
    Lesson(
        "log_sum_exp",
        "Log-sum-exp against underflow",
        "Far from all components every density underflows to 0 in single precision and its logarithm to -∞; taking the "
        "largest exponent out of the sum first keeps log p exact.",
        draw_log_sum_exp,
    ),
    Lesson(
        "floor",
        "A component on one point, and a floor under it",
        "A component that sits on a single point gains likelihood without bound as σ → 0; a floor under σ bounds the "
        "gain at -log(floor √2π) for that point.",
        draw_floor,
    ),
    Lesson(
        "collapse",
        "A component starves",
        "A component that starts with little weight gets little gradient, and another takes its data; an entropy bonus "
        "that fades half way keeps both alive.",
        draw_collapse,
    ),
    Lesson(
        "shared_mode",
        "Two components on one answer",
        "Two components that start together get the same gradient and stay together in the trough; "
        "starting them apart gives each an answer of its own.",
        draw_shared_mode,
    ),
    Lesson(
        "label_switching",
        "The same answers under other names",
        "Every run finds the same three answers, in an order left to chance; ordering the components by their means gives "
        "one name to each.",
        draw_label_switching,
    ),
    Lesson(
        "ordering",
        "The ordering penalty at work",
        "A penalty on neighbours out of order makes every run use the same names while it trains, but may push a run past "
        "an answer, where the negative log-likelihood (NLL) in the title is higher; reordering afterwards costs nothing.",
        draw_ordering,
    ),
    Lesson(
        "winding",
        "An angle that winds",
        "The answer is the direction of the point x, which goes once around as x does: a network that says the angle itself "
        "has to jump back somewhere, one that says its cosine and sine has not.",
        draw_winding,
    ),
    Lesson(
        "bias_variance",
        "How many components",
        "More components lower the training loss as far as they go and the validation loss only at first; the one-standard-error "
        "rule picks the smallest K that is as good as the best within the noise.",
        draw_bias_variance,
    ),
    Lesson(
        "data_sets",
        "Bias and variance over repeated data sets",
        "Densities fitted to many small data sets: with K = 1 all agree and all are wrong (bias), with K = 8 they are "
        "right on average and each is wrong in its own way (variance).",
        draw_data_sets,
    ),
)


_LOOK: dict[Any, Any] = {
    "font.size": 13,
    "axes.titlesize": 13,
    "legend.fontsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def teach(
    out: Path,
    *,
    only: Sequence[str] = (),
    effort: float = 1.0,
    on_lesson: Callable[[Lesson, Path], None] | None = None,
) -> list[Path]:
    """Draw the figures of the lessons, and write the captions of all that are there to `captions/README.md`.

    Args:
        out: Folder to write to.
        only: Names of lessons; empty for all.
        effort: Share of the full training of the networks shown.
        on_lesson: Called after each figure with its lesson and file.

    Returns:
        The figures' files.

    Raises:
        UnknownNameError: No lesson of that name.
    """
    from matplotlib import rc_context

    known = {lesson.name: lesson for lesson in LESSONS}
    for name in only:
        if name not in known:
            raise UnknownNameError(f"unknown figure {name!r}; allowed: {', '.join(known)}", name=name)
    wanted = [lesson for lesson in LESSONS if not only or lesson.name in only]
    files = []
    with rc_context(_LOOK):
        for lesson in wanted:
            files.append(out / f"{lesson.name}.png")
            lesson.draw(files[-1], effort)
            _write_captions(out)
            if on_lesson is not None:
                on_lesson(lesson, files[-1])
    return files


def _write_captions(out: Path) -> None:
    """The captions of all figures that lie there, drawn now or before."""
    there = [lesson for lesson in LESSONS if (out / f"{lesson.name}.png").exists()]
    captions = [f"## {each.title}\n\n![{each.title}](../{each.name}.png)\n\n{each.caption}\n" for each in there]
    with whole_file(out / "captions" / "README.md") as temporary:
        temporary.write_text("# Mixture density networks in figures\n\n" + "\n".join(captions), encoding="utf-8")
