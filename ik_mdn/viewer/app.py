"""The viewer as a server: one arm at a time, in as many browsers as there are."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

from ik_mdn.model import find_shipped
from ik_mdn.viewer.live import Live
from ik_mdn.viewer.newest import Newest
from ik_mdn.viewer.panel import Offers
from ik_mdn.viewer.serving import close_server, open_server, place_camera
from ik_mdn.viewer.session import Session
from ik_mdn.viewer.visuals import load_looks
from sim.arm import Arm, builtin_arms, load_arm
from sim.errors import IKError
from sim.scenes import load_scene, scene_names
from sim.task import TASKS, load_task

_PANEL = 420  # width of the panel [px]


@dataclass(frozen=True)
class Choice:
    """What is looked at.

    Args:
        arm: Built-in name, planar:L1,L2,..., or path of a URDF.
        model: Name or file of the mixture; None: the shipped one if there is one; "none": random restarts.
        task: Its name; None: the model's, or the arm's default.
        scene: Name or file of the obstacles around it.
        base, tip: Links; None: the URDF's root, its only leaf.
    """

    arm: str
    model: str | None = None
    task: str | None = None
    scene: str = "free"
    base: str | None = None
    tip: str | None = None

    def load_arm(self) -> Arm:
        """The arm."""
        return load_arm(self.arm, base=self.base, tip=self.tip)

    def changed(self, **changes: str) -> Choice:
        """The choice with something else looked at; another arm brings its own model, task and links."""
        if "arm" in changes:
            return Choice(arm=changes["arm"], scene=self.scene)
        if changes.get("model") == SHIPPED:
            return replace(self, model=None)
        return replace(self, **changes)


SHIPPED = "shipped"


class App:
    """Serves the viewer; `close` ends it.

    Args:
        choice: What is looked at first.
        host: Address to serve on.
        port: Port to serve on; where it is taken, the next free one.

    Raises:
        IKError: The arm, model, task or scene cannot be loaded.
    """

    def __init__(self, choice: Choice, *, host: str = "127.0.0.1", port: int = 8080) -> None:
        loaded = _load(choice)
        self._server = open_server(host, port)
        self._live: Live | None = None
        self._first = choice
        self._closed = threading.Event()
        self._show(choice, loaded)
        self._builder: Newest[Choice] = Newest(self._look_at)

    @property
    def address(self) -> str:
        """Where browsers find it."""
        return f"http://{self._server.get_host()}:{self._server.get_port()}"

    @property
    def live(self) -> Live:
        """What is looked at."""
        assert self._live is not None
        return self._live

    def clients(self) -> tuple[Any, ...]:
        """viser's handles of the browsers that are connected."""
        return tuple(self._server.get_clients().values())

    def wait(self) -> None:
        """Return when it is closed."""
        while not self._closed.wait(1.0):
            pass

    def close(self) -> None:
        """End the workers and the server; browsers show that the connection is gone."""
        self._closed.set()
        self._builder.close()
        self.live.close()
        close_server(self._server)

    def _look_at(self, choice: Choice) -> None:
        """Show something else; what cannot be shown is said in the browsers."""
        try:
            loaded = _load(choice)
        except (IKError, OSError) as error:
            for client in self._server.get_clients().values():
                client.add_notification("This cannot be shown", str(error), color="red")
            return
        self.live.close()
        self._show(choice, loaded)

    def _show(self, choice: Choice, loaded: tuple[Any, ...]) -> None:
        session, looks, scene = loaded
        server = self._server
        server.scene.reset()
        server.gui.reset()
        server.gui.main_panel.dock_right()
        server.gui.main_panel.set_width(_PANEL)
        server.gui.set_panel_label(f"IK-MDN · {session.arm.name}")
        place_camera(server, session.arm, scene)

        def look_at(**changes: str) -> None:
            self._builder.put(choice.changed(**changes))

        self._live = Live(server, session, looks, scene, self._offers(choice, session), look_at)

    def _offers(self, choice: Choice, session: Session) -> Offers:
        arms = tuple(dict.fromkeys([*builtin_arms(), self._first.arm, choice.arm]))
        shipped = [SHIPPED] if find_shipped(session.arm) else []
        models = tuple(dict.fromkeys([*shipped, "none", *(m for m in (self._first.model, choice.model) if m)]))
        model = choice.model or (SHIPPED if session.solver.model is not None else "none")
        return Offers(
            arms=(arms, choice.arm),
            models=(models, model),
            tasks=(_tasks(session), session.task.name),
            scenes=(tuple(dict.fromkeys([*scene_names(), self._first.scene, choice.scene])), choice.scene),
        )


def _load(choice: Choice) -> tuple[Any, ...]:
    arm = choice.load_arm()
    session = Session.load(arm, model=choice.model, task=choice.task)
    session.prepare()
    scene = load_scene(choice.scene, arm)
    return session, load_looks(arm), scene if scene.obstacles else None


def _tasks(session: Session) -> tuple[str, ...]:
    """Names of the tasks that the arm can be asked for; the one in use may have none of the usual names."""
    usual = [name for name in TASKS if _fits(session.arm, name)]
    return tuple(dict.fromkeys([*usual, session.task.name]))


def _fits(arm: Arm, task: str) -> bool:
    try:
        load_task(arm, task)
    except IKError:
        return False
    return True
