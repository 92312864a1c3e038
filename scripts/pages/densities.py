"""Pages of what densities are worth by themselves: the published benchmark, learned peers, spread along curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results import to_markdown

from pages.text import made_by, page


def kruse_page(found: Mapping[str, Any]) -> str:
    """The published density benchmark."""
    from kruse.report import PUBLISHED

    header = ["model", "Err_post", "Err_resim [m²]", "mean distance [m]", "spread", "within 5 cm of (1.5, 0)"]
    rows = [list(row[:6]) for row in PUBLISHED]
    rows.append(["exact posterior against itself", *_scores(found["exact"]), ""])
    names = {"black_box": "**x itself, pairs only (black box)**", "tip": "tip coordinates"}
    names |= {"rail": "rail coordinates", "raw": "x itself"}
    for key, name in names.items():
        larger = [one for other, one in found.items() if other.startswith(f"{key}-larger-")]
        rows += _kruse_rows(name, found[key]) if key in found else []
        for one in sorted(larger, key=lambda one: int(one["steps"])):
            rows += _kruse_rows(f"{name}, larger", one)
    ablations = found.get("ablations", {"steps": 0, "rows": {}})
    less = [[name, *_scores(row["raw"]), f"{100 * row['centre']:.1f} %"] for name, row in ablations["rows"].items()]
    gains = [
        f"What each part gains, at {ablations['steps']} steps, one seed, other targets:",
        to_markdown(header, less),
    ]
    return page(
        "The published density benchmark",
        "The planar arm of Kruse, Ardizzone, Rother and Köthe (arXiv 2101.10763): a vertical rail and three angles, two "
        f"numbers observed with noise of 0.01; {found['targets']:,} targets with 1,000 draws each against the exact posterior. "
        "Err_post is the unbiased MMD², Err_resim the mean squared distance of the re-simulated tip, spread the standard "
        "deviation of draws over that of exact ones (a collapsed model has less than 1). What to make of the "
        "rows stands in the [notes](../../results-notes.md).",
        to_markdown(header, rows),
        *(gains if less else ()),
        made_by(
            "kruse_arm.json",
            "python scripts/kruse_arm.py --larger-steps 3000 --ablations\n"
            "python scripts/kruse_arm.py --less raw --larger-steps 12000\npython scripts/kruse_arm.py --black-box",
        ),
    )


def learned_page(found: Mapping[str, Any]) -> str:
    """Learned densities trained as long on the same samples, and what others have published."""
    from ik_mdn.comparison import PUBLISHED
    from ik_mdn.evaluation import degrees, millimetres, percent

    measured = found.get("arms", [found])  # the command writes one arm by itself
    header = ["density", "arm", "trained", "samples", "parameters", "position, mean / median [mm]"]
    header += ["rotation, mean / median [°]", "in limits", "µs per draw"]
    rows = [
        [
            *(one["name"], arm["arm"], f"{one['seconds']:.0f} s", f"{one['samples']:,}", f"{one['parameters']:,}"),
            f"{millimetres(one['pos_mean'])} / {millimetres(one['pos_median'])}",
            f"{degrees(one['rot_mean'])} / {degrees(one['rot_median'])}",
            *(percent(one["in_limits"]), f"{one['us_per_draw']:.1f}"),
        ]
        for arm in measured
        for one in arm["learned"]
    ]
    published = [
        [one.name, millimetres(one.pos_mean), "–" if one.rot_mean is None else degrees(one.rot_mean), one.source]
        for one in PUBLISHED
    ]
    arms = " ".join(arm["arm"] for arm in measured)
    return page(
        "Learned densities side by side",
        "Trained on poses of the same stream, each as long on one core; 50 draws of each of 200 held-out poses, nothing refined "
        "or trimmed. Ours trains as `ik-mdn train` does: where an arm has as many joints as the task has constraints, on every "
        "branch of a pose, found by solving, the others on the configuration that made it; and its defaults were chosen on "
        "such arms, theirs are as their authors have them. So this is what a short training gives, not what a method can "
        "come to.",
        to_markdown(header, rows),
        "Published for the Panda arm, on other hardware and for other poses:",
        to_markdown(["method", "position [mm]", "rotation [°]", "source"], published),
        made_by("learned.json", f"ik-mdn compare {arms} --count 200 --learned 300 --json data/results/learned.json"),
    )


def diversity_page(found: Mapping[str, Any]) -> str:
    """How draws for seven-joint arms are spread along their curves of solutions."""
    from diversity import table

    arms = found["arms"]
    one = next(iter(arms.values()))
    return page(
        "Spread along curves of solutions",
        f"Unbiased MMD² of {one['draws']} draws to as many exact ones along the self-motion, mean over {one['poses']:,} held-out "
        "poses ± its standard error; 0 where they are alike. Exact draws follow 1 / √det(J Jᵀ) per arc length, the density that "
        "joints uniform in limits have given the pose. Restarts start uniform in limits and use no network.",
        table(arms),
        made_by("diversity.json", "python scripts/diversity.py"),
    )


def _scores(scores: Mapping[str, float]) -> list[str]:
    spread = f"{scores['spread']:.3f}" if "spread" in scores else "–"
    return [f"{scores['err_post']:.5f}", f"{scores['err_resim']:.1e}", f"{scores['distance']:.4f}", spread]


def _kruse_rows(name: str, one: Mapping[str, Any]) -> list[list[str]]:
    """Raw and refined draws of one model: numbers of one seed, or mean and standard deviation of several."""
    rows, about = (
        [],
        f"{name}, {one['parameters'] / 1e6:.2f} M parameters, {one['steps']:,} steps" if "steps" in one else name,
    )
    for kind in ("raw", "refined"):
        if kind in one:
            cells = _scores(one[kind])
        else:
            forms = {"err_post": "{:.5f}", "err_resim": "{:.1e}", "distance": "{:.4f}", "spread": "{:.3f}"}
            pairs = {key: one.get(f"{kind}.{key}", ()) for key in forms}
            cells = [" ± ".join(map(forms[key].format, pair)) or "–" for key, pair in pairs.items()]
        centre = one["centre"][0] if isinstance(one["centre"], list) else one["centre"]
        rows.append([f"{about}, {kind} draws", *cells, f"{100 * centre:.1f} %" if kind == "raw" else ""])
    return rows
