"""The panel's table and plots as HTML and SVG: text in, text out."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np

from ik_mdn.model import ArmModel
from ik_mdn.solver import Status
from ik_mdn.viewer.answer import Answer, Details, say_miss, small_angle, small_length
from ik_mdn.viewer.density import Marginals, joint_density, marginals, plane_variance
from ik_mdn.viewer.ghosts import Colour, branch_colour
from ik_mdn.viewer.judge import Verdict
from sim.arm import Arm
from sim.arrays import FloatArray

_WIDTH, _STRIP, _LEFT = 360, 34, 78  # of a plot, of one joint's strip in it, of the names beside it [px]
FLOOR = "Floor: the darker, the more the mixture's components disagree there (variance between them)."
_SHADES = {"✖": "#b3261e", "▽": "#9a6700"}
_CLICK = (  # a row presses the button of its number
    "onclick=\"[...document.querySelectorAll('button')].find((each) =&gt; each.innerText.trim() === '{}')?.click()\""
)
_TEXT = "font:12px system-ui,sans-serif;color:#22252b;background:#fff;padding:2px 10px"


def status_html(answer: Answer, details: Details | None, *, rotation: bool, notes: Sequence[str] = ()) -> str:
    """What is said above the table: whether the target can be reached or why not, how near, and what is missing.

    Args:
        answer: The answer.
        details: What was measured of it, or None.
        rotation: Whether the task counts rotation.
        notes: More lines.
    """
    good = len(answer) > 0
    lines = [f'<b style="color:{"#14734a" if good else "#b3261e"}">{escape(answer.sentence)}</b>']
    if details is not None and details.nearest is not None:
        miss = say_miss(details.nearest, rotation=rotation)
        near = "solution" if answer.status is Status.TOO_FAR else f"approach found ends {miss} away; it"
        lines.append(f"The nearest {near} is drawn in grey.")
    if details is not None and details.mse is not None:
        miss = say_miss(details.mse, rotation=rotation)
        lines.append(f'<span style="color:#c62828">The regressor (MSE) misses by {miss}.</span>')
    lines += [f'<span style="color:#6b7280">{escape(note)}</span>' for note in notes if note]
    return f'<div id="status" style="{_TEXT};line-height:1.45">{"<br>".join(lines)}</div>'


def table_html(answer: Answer, details: Details, verdict: Verdict | None, solid: int | None, *, rotation: bool) -> str:
    """One row per solution: probability, error, margin, manipulability, and what the controller makes of it.

    Args:
        answer: The solutions.
        details: What was measured of them.
        verdict: The controller's; None while it is thinking.
        solid: The selected row, or None.
        rotation: Whether the task counts rotation.
    """
    heads = ["", "probability", "error", "to limit", "manipul."]
    titles = [
        "",
        "probability",
        "distance of the tip from the target",
        "distance from the nearest joint limit [rad, m]",
        "manipulability: sqrt(det(J Jᵀ)), lengths in arm's reaches; 0 is singular",
    ]
    head = "".join(
        f'<th style="text-align:left;padding:1px 5px;font-weight:600;white-space:nowrap" title="{t}">{h}</th>'
        for h, t in zip(heads, titles, strict=True)
    )
    rows = "".join(_row(answer, details, verdict, solid, i, rotation=rotation) for i in range(len(answer)))
    said = escape(verdict.sentence) if verdict else "" if not len(answer) else "The controller is asked …"
    body = f'<table style="border-collapse:collapse;width:100%"><tr>{head}</tr>{rows}</table>' if len(answer) else ""
    return f'<div id="solutions" style="{_TEXT}">{body}<div style="margin-top:4px">{said}</div></div>'


def _row(
    answer: Answer, details: Details, verdict: Verdict | None, solid: int | None, i: int, *, rotation: bool
) -> str:
    chip = (
        f'<span style="display:inline-block;min-width:16px;text-align:center;border-radius:4px;color:#fff;'
        f'background:rgb{branch_colour(int(answer.branch[i]))}">{i + 1}</span>'
    )
    error = small_length(float(details.err_pos[i]))
    if rotation:
        error += f" {small_angle(float(details.err_rot[i]))}"
    margin = float(details.margin[i])
    reason, mark = "", ""
    if verdict is not None:
        reason, mark = escape(verdict.reasons[i]), verdict.marks[i]
    cells = [chip, f"{answer.weight[i]:.3f}", escape(error), "–" if np.isinf(margin) else f"{margin:.2f}"]
    cells.append(f"{details.manipulability[i]:.2g}")
    tint = "background:#e8f0fe" if i == solid else ""
    numbers = "".join(f'<td style="padding:2px 5px 0;white-space:nowrap">{cell}</td>' for cell in cells)
    return (
        f'<tr class="solution" {_CLICK.format(i + 1)} style="border-top:1px solid #e5e7eb;cursor:pointer;{tint}">{numbers}</tr>'
        f'<tr {_CLICK.format(i + 1)} style="cursor:pointer;{tint}"><td></td><td colspan="4" style="padding:0 5px 2px;'
        f'color:{_SHADES.get(mark, "#5f6672")};font-size:11px">{mark} {reason}&nbsp;</td></tr>'
    )


def plot_html(model: ArmModel, answer: Answer, q_mse: FloatArray | None = None) -> str:
    """A mixture's density at a target: of both joints where there are two, else the marginal of each joint.

    Args:
        model: The mixture.
        answer: The target's solutions, drawn where they lie.
        q_mse: The regressor's answer, or None.
    """
    arm, T = model.arm, answer.T_base_target
    if arm.n_joints == 2:
        return density_html(arm, joint_density(model, T), answer, q_mse)
    return marginals_svg(arm, marginals(model, T), answer, q_mse)


def marginals_svg(arm: Arm, plotted: Marginals, answer: Answer, q_mse: FloatArray | None = None) -> str:
    """The marginal density of each joint as a curve, the exact solutions as ticks in their colours.

    Args:
        arm: The arm.
        plotted: Its marginals.
        answer: The solutions.
        q_mse: The regressor's answer, drawn dashed, or None.
    """
    height = _STRIP * arm.n_joints
    parts = [_strip(arm, plotted, answer, q_mse, i) for i in range(arm.n_joints)]
    return (
        f'<div style="{_TEXT}"><svg id="marginals" viewBox="0 0 {_WIDTH} {height + 4}" width="100%" '
        f'style="font:10px system-ui,sans-serif">{"".join(parts)}</svg>'
        '<div style="color:#6b7280">density of each joint (network), ticks: exact solutions, red: regressor</div></div>'
    )


def _strip(arm: Arm, plotted: Marginals, answer: Answer, q_mse: FloatArray | None, i: int) -> str:
    top, wide, tall = i * _STRIP, _WIDTH - _LEFT - 4, _STRIP - 13
    edges, share = plotted.edges[i], plotted.share[i]

    def x_of(value: float) -> float:
        low, high = float(edges[0]), float(edges[-1])
        turn = float(arm.period[i])
        while np.isfinite(turn) and value > high + 1e-9:
            value -= turn
        while np.isfinite(turn) and value < low - 1e-9:
            value += turn
        return _LEFT + wide * float(np.clip((value - low) / (high - low), 0.0, 1.0))

    base = top + tall + 2
    level = np.sqrt(share / max(float(share.max()), 1e-12))  # a narrow peak beside a wide one stays visible
    step = wide / len(share)
    line = "".join(f"L{_LEFT + (k + 0.5) * step:.1f} {base - tall * v:.1f}" for k, v in enumerate(level.tolist()))
    path = f'<path d="M{_LEFT} {base}{line}L{_LEFT + wide} {base}Z" fill="#c9d7ee" stroke="#5b7db8" stroke-width=".8"/>'
    ticks = "".join(
        f'<line x1="{x_of(q):.1f}" x2="{x_of(q):.1f}" y1="{base - tall}" y2="{base + 3}" stroke="rgb{branch_colour(b)}" stroke-width="1.6"/>'
        for q, b in zip(answer.q[:, i].tolist(), answer.branch.tolist(), strict=True)
    )
    if q_mse is not None:
        x = x_of(float(q_mse[i]))
        ticks += f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base - tall}" y2="{base + 3}" stroke="#de2828" stroke-width="1.6" stroke-dasharray="2 2"/>'
    slides = bool(arm.is_prismatic[i])
    low, high = (f"{v:.2f} m" if slides else f"{np.degrees(v):.0f}°" for v in (edges[0], edges[-1]))
    name = short_names(arm.joint_names)[i]
    return (
        f'{path}{ticks}<line x1="{_LEFT}" x2="{_LEFT + wide}" y1="{base}" y2="{base}" stroke="#9aa1ad" stroke-width=".6"/>'
        f'<text x="{_LEFT - 5}" y="{base - 4}" text-anchor="end">{escape(name)}</text>'
        f'<text x="{_LEFT}" y="{base + 9}" fill="#8a909b" font-size="8">{low}</text>'
        f'<text x="{_LEFT + wide}" y="{base + 9}" fill="#8a909b" font-size="8" text-anchor="end">{high}</text>'
    )


def density_html(arm: Arm, density: FloatArray, answer: Answer, q_mse: FloatArray | None = None) -> str:
    """The density of two joints as a picture, the exact solutions as dots in their colours.

    Args:
        arm: An arm of two joints.
        density: From `joint_density`.
        answer: The solutions.
        q_mse: The regressor's answer, a red cross, or None.
    """
    low, span = arm.sample_min, arm.sample_max - arm.sample_min
    picture = heat_png(np.sqrt(density / max(float(density.max()), 1e-300)))

    def at(q: FloatArray) -> tuple[float, float]:
        x, y = np.clip((q - low) / span, 0.0, 1.0)
        return 40 + 280 * float(x), 6 + 280 * float(1.0 - y)

    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="rgb{branch_colour(b)}" stroke-width="3"/>'
        for (x, y), b in zip(map(at, answer.q), answer.branch.tolist(), strict=True)
    )
    if q_mse is not None:
        x, y = at(np.asarray(q_mse))
        dots += f'<path d="M{x - 5} {y - 5}l10 10m0 -10l-10 10" stroke="#de2828" stroke-width="3"/>'
    ends = [f"{np.degrees(v):.0f}°" for v in (low[0], arm.sample_max[0], low[1], arm.sample_max[1])]
    return (
        f'<div style="{_TEXT}"><svg id="density" viewBox="0 0 330 312" width="100%" style="font:11px system-ui,sans-serif">'
        f'<image href="{picture}" x="40" y="6" width="280" height="280" preserveAspectRatio="none"/>'
        f'<rect x="40" y="6" width="280" height="280" fill="none" stroke="#9aa1ad"/>{dots}'
        f'<text x="40" y="300">{ends[0]}</text><text x="320" y="300" text-anchor="end">{ends[1]}</text>'
        f'<text x="180" y="300" text-anchor="middle">{escape(arm.joint_names[0])}</text>'
        f'<text x="36" y="286" text-anchor="end">{ends[2]}</text><text x="36" y="16" text-anchor="end">{ends[3]}</text>'
        f'<text x="14" y="146" text-anchor="middle" transform="rotate(-90 14 146)">{escape(arm.joint_names[1])}</text></svg>'
        '<div style="color:#6b7280">density of both joints (network), rings: exact solutions, red cross: regressor</div></div>'
    )


def short_names(names: Sequence[str], most: int = 14) -> list[str]:
    """Joint names without the words that all of them share, the beginning cut off where they are still too long."""
    words = [name.split("_") for name in names]
    while min(map(len, words)) > 1 and len({name[0] for name in words}) == 1 < len(words):
        words = [name[1:] for name in words]
    while min(map(len, words)) > 1 and len({name[-1] for name in words}) == 1 < len(words):
        words = [name[:-1] for name in words]
    cut = ["_".join(name) for name in words]
    return [name if len(name) <= most else f"…{name[1 - most :]}" for name in cut]


def curve_html(share: FloatArray, name: str) -> str:
    """A bar coloured by the density along a self-motion, dark where the network expects the arm.

    Args:
        share: Density relative to its largest value at even steps along the curve, shape (s,).
        name: What the curve is called.
    """
    stops = ", ".join(f"rgb{_blue(float(value))} {100 * (i + 0.5) / len(share):.1f}%" for i, value in enumerate(share))
    return (
        f'<div style="{_TEXT}"><div style="color:#6b7280">{escape(name)}</div>'
        f'<div class="curve" style="height:12px;border:1px solid #d5d9e0;border-radius:3px;background:linear-gradient(90deg, {stops})"></div></div>'
    )


def workspace(model: ArmModel, T_base_target: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The floor under a planar arm as a picture, the darker the more the components disagree there; see `plane_variance`."""
    variance = plane_variance(model, T_base_target)
    return heat(np.sqrt(variance / np.nanmax(variance)) * 0.6)


def heat_png(level: FloatArray) -> str:
    """A picture of values in [0, 1], white to dark blue, as a data address."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(heat(level)).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def heat(level: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """White to dark blue for values in [0, 1], clear where NaN; red, green, blue and opacity, shape (..., 4), 0 to 255."""
    value = np.nan_to_num(np.clip(level, 0.0, 1.0))[..., None]
    rgb = 255 * (1 - value) + np.array([24, 66, 148]) * value
    return np.concatenate([rgb, 255.0 * ~np.isnan(level)[..., None]], axis=-1).astype(np.uint8)


def _blue(value: float) -> Colour:
    r, g, b, _ = heat(np.array(value)).tolist()
    return r, g, b
