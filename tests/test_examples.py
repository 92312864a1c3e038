"""The examples in the docstrings of what people use are true."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ik_mdn
import sim

SHOWN = {  # names that must have an example
    "sim.Task",
    "sim.forward_kinematics",
    "sim.generate",
    "sim.jacobian",
    "sim.load_arm",
    "sim.load_task",
    "sim.pose",
    "ik_mdn.GaussianMixture",
    "ik_mdn.IKSolver",
    "ik_mdn.IKSolver.load",
    "ik_mdn.IKSolver.solve",
    "ik_mdn.line_path",
    "ik_mdn.self_motion",
    "ik_mdn.slide",
    "ik_mdn.track",
    "ik_mdn.train",
}
SLOW = {"ik_mdn.train"}


def examples() -> list[doctest.DocTest]:
    """Of every public name and its methods."""
    finder, found = doctest.DocTestFinder(), []
    for package in (sim, ik_mdn):
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                module = inspect.getmodule(value)
                found += finder.find(value, f"{package.__name__}.{name}", module=module, globs=vars(module))
    return [each for each in found if each.examples]


def test_what_people_use_first_has_examples() -> None:
    assert {each.name for each in examples()} >= SHOWN


@pytest.mark.parametrize(
    "example",
    [pytest.param(each, id=each.name, marks=[pytest.mark.slow] * (each.name in SLOW)) for each in examples()],
)
def test_the_example_is_true(example: doctest.DocTest, tmp_path: Path) -> None:
    import torch

    names: dict[str, Any] = {"np": np, "sim": sim, "ik_mdn": ik_mdn, "torch": torch, "folder": tmp_path}
    example.globs = {**example.globs, **names}
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)
