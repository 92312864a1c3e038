"""Numbers as people read them: millimetres, degrees, per cent; never cut to a nought that they are not."""

from __future__ import annotations

import math

DEGREES = 180.0 / math.pi  # per radian


def number(value: float | None) -> str:
    """A magnitude with three digits: "1,234", "12.3", "< 0.001" for less than that, "–" where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 1e-3 else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def millimetres(metres: float | None) -> str:
    """A length in millimetres, for a column that says so."""
    return number(None if metres is None else 1e3 * metres)


def degrees(radians: float | None) -> str:
    """An angle in degrees, for a column that says so."""
    return number(None if radians is None else DEGREES * radians)


def percent(share: float) -> str:
    """A share in per cent with at most one decimal, never rounded to 0 or 100 that it is not."""
    value = 100 * share
    if 0 < value < 0.05:
        return "< 0.1 %"
    if 99.95 <= value < 100:
        return "> 99.9 %"
    return f"{value:.1f} %" if value not in (0, 100) else f"{value:.0f} %"


def distance(metres: float) -> str:
    """A length in the unit that fits it: "1.2 m", "23 cm", "0.15 mm", "less than 1 µm"."""
    if metres < 1e-6:
        return "less than 1 µm"
    if metres < 1e-2:
        return f"{1e3 * metres:.2g} mm"
    if metres < 0.995:
        return f"{100 * metres:.2g} cm"
    return f"{metres:.2g} m" if metres < 99.5 else f"{metres:,.0f} m"
