"""PyBullet, bound to one world at a time; the only module that imports it, and not before a world is opened."""

from __future__ import annotations

import gc
from functools import cache
from types import ModuleType
from typing import Any

from sim.errors import WorldError
from sim.world.silence import silence


class Client:
    """Bullet's functions bound to one world, so that no call can reach another by mistake, and fails by name."""

    def __init__(self, number: int) -> None:
        self._number: int | None = number
        self.names: dict[str, str] = {}  # of links and joints whose names Bullet cannot take, by the ones it was given

    def __getattr__(self, name: str) -> Any:
        """A function of pybullet with this world's number filled in, or one of its constants."""
        value = getattr(_bullet(), name)
        if not callable(value):
            return value
        if self._number is None:
            raise WorldError("the world is closed; open another one with sim.World()")
        options = {} if name in _STATELESS else {"physicsClientId": self._number}

        def bound(*arguments: Any, **named: Any) -> Any:
            try:
                return value(*arguments, **options, **named)
            except (_bullet().error, SystemError) as error:  # the latter where Bullet gives a result and an error too
                raise WorldError(f"Bullet's {name} failed: {error}") from error

        setattr(self, name, bound)  # found at once the next time
        return bound

    @property
    def is_closed(self) -> bool:
        """Whether the world has ended."""
        return self._number is None

    def real_name(self, name: bytes) -> str:
        """What the description calls a link or a joint that Bullet calls so."""
        text = name.decode(errors="replace")
        return self.names.get(text, text)

    def disconnect(self) -> None:
        """Close the connection, once."""
        number, self._number = self._number, None
        for name in [name for name in self.__dict__ if name not in ("_number", "names")]:
            delattr(self, name)
        if number is not None:
            _OPEN.discard(number)
            if _bullet().isConnected(number):
                with silence():
                    _bullet().disconnect(number)


def open_client(gui: bool) -> Client:
    """Bullet's functions for a new world.

    Raises:
        WorldError: PyBullet is not installed, too many worlds are open, or Bullet refused.
    """
    if len(_OPEN) >= _MOST_WORLDS:
        gc.collect()  # closes those that are forgotten
    if len(_OPEN) >= _MOST_WORLDS:
        raise WorldError(
            f"{len(_OPEN)} worlds are open, of about 30 MB each; close those that are done: with sim.World() as world: ..."
        )
    with silence() as chatter:
        number = int(_bullet().connect(_bullet().GUI if gui else _bullet().DIRECT))
    if number < 0:
        raise WorldError(f"Bullet gave no {'window' if gui else 'world'}: {chatter.last_lines() or 'no reason'}")
    _OPEN.add(number)
    return Client(number)


@cache
def _bullet() -> ModuleType:
    """PyBullet, which only worlds need: everything else imports and works without it.

    Raises:
        WorldError: It is not installed.
    """
    try:
        with silence():  # it prints its build time
            import pybullet
    except ImportError as error:
        raise WorldError(
            f"worlds need PyBullet ({error}); run: pip install pybullet, from Python 3.12 on pybullet-arm64"
        ) from error
    module: ModuleType = pybullet
    return module


_OPEN: set[int] = set()  # Bullet's numbers of all worlds of this process
_MOST_WORLDS = 128
_STATELESS = ("getMatrixFromQuaternion", "computeViewMatrix", "computeProjectionMatrixFOV")
