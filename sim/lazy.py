"""Packages that import what they offer on first use, so that `import` and `--help` stay instant."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from inspect import getsource
from typing import Any


def public_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package's `__init__` needs to offer the names that it imports under `if TYPE_CHECKING:`, and no others.

    Args:
        package: The package's `__name__`.

    Returns:
        Its `__getattr__` (PEP 562), `__dir__` and `__all__`.
    """
    module = sys.modules[package]
    blocks = [node for node in ast.parse(getsource(module)).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    home = {alias.name: str(node.module) for node in imports for alias in node.names}
    names = sorted(home)

    def load(name: str) -> Any:
        if name not in home:
            message = f"module {package!r} has no attribute {name!r}; it has {', '.join(names)}"
            raise AttributeError(message, name=name, obj=module)
        return getattr(import_module(home[name]), name)

    return load, lambda: names, names
