"""The extra installs all that the viewer imports."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"PIL": "pillow"}  # modules that are not called as their package is


def test_what_the_viewer_imports_is_a_dependency_or_in_its_extra() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    parts = re.findall(r"^(?:dependencies|view) = (\[.*?^\]|\[.*?\]$)", text, re.S | re.M)
    assert len(parts) == 2
    named = {name.lower() for part in parts for name in re.findall(r'"([A-Za-z0-9_-]+)', part)}
    modules = set()
    for file in (ROOT / "ik_mdn" / "viewer").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(str(node.module).partition(".")[0])
    others = modules - set(sys.stdlib_module_names) - {"sim", "ik_mdn"}
    assert {PACKAGES.get(name, name) for name in others} <= named
