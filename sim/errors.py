"""The project's exceptions: one base class, one subclass per cause, the offending values as attributes."""

from __future__ import annotations

from reprlib import Repr
from typing import Any

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxlong, _SHORT.maxother = 2, 100, 100, 100


class IKError(Exception):
    """Base of every error that this project raises on purpose; the command line turns it into exit code 2.

    Args:
        message: What was given, what is allowed, and what to do.
        **values: The values the message speaks of; each becomes an attribute.
    """

    def __init__(self, message: str, **values: Any) -> None:
        super().__init__(message)
        for name, value in values.items():
            setattr(self, name, value)


def shown(value: Any) -> str:
    """A value for a message, as Python writes it, with the middle left out where it is long."""
    return _SHORT.repr(value)


class UnknownNameError(IKError, ValueError):
    """A name (of an arm, a task, a backend, a model) that is not among the known ones."""


class URDFError(IKError, ValueError):
    """A robot description that cannot be used: unreadable, a missing link, an unsupported joint, no single tip."""


class ShapeError(IKError, ValueError):
    """An array whose shape does not fit, or an argument outside what is allowed."""


class PoseError(IKError, ValueError):
    """A target that is no pose: not finite, or its rotation part is no rotation."""


class TaskError(IKError, ValueError):
    """A task that the arm cannot do in general: planar for an arm that is not, or with more constraints than joints on a path."""


class DatasetError(IKError):
    """A dataset folder that cannot be written, read, or resumed."""


class WorldError(IKError):
    """Something that the physics world cannot do: no display, no URDF, a missing mesh or link, a closed world."""


class SceneError(IKError, ValueError):
    """A scene or obstacle that makes no sense: a wrong key, shape, size, pose or file."""


class SuiteError(IKError):
    """A suite of targets that an arm or a world does not allow, or a folder of results that holds another one."""


class CheckpointError(IKError):
    """A model file that is damaged, of another format, or made for another arm."""


class TrainingError(IKError):
    """Training stopped because it could not go on; the message holds the diagnosis."""
