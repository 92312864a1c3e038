"""`ik-mdn view`: a live page on which a target is dragged and every solution follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import tyro

from ik_mdn.cli.console import progress, report_note, waiting
from ik_mdn.cli.options import ArmName, Base, FigureFile, ModelName, OutFile, TaskName, Tip

if TYPE_CHECKING:
    from pathlib import Path

    from ik_mdn.viewer import Choice, Session
    from sim.scenes import Scene

_HERE = ("127.0.0.1", "localhost", "::1")


def run(
    arm: ArmName,
    /,
    *,
    scene: Annotated[str, tyro.conf.arg(metavar="SCENE")] = "free",
    model: ModelName = None,
    task: TaskName = None,
    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1",
    port: int = 8080,
    browser: bool = True,
    record: OutFile = None,
    still: FigureFile = None,
    base: Base = None,
    tip: Tip = None,
) -> None:
    """Look at every solution of a target that you drag, each with its probability, and why one is taken.

    Serves a page until Ctrl-C: drag the handles or type a target; N selects the next branch, G executes it in PyBullet
    and plays it back. With --record or --still a file is written instead, and nothing is served.

    Args:
        scene: Obstacles: free, table, shelf, cage, or a YAML or JSON file.
        host: Address to serve on; others than 127.0.0.1 let other machines in.
        port: Port to serve on; where it is taken, the next free one.
        browser: Open the page in the browser; --no-browser only says where it is.
        record: Write one page that plays offline into this file, the target on a path.
        still: Write a picture into this file; its ending says the format.
    """
    with waiting("loading"):
        from ik_mdn.viewer import Choice

    choice = Choice(arm=arm, model=model, task=task, scene=scene, base=base, tip=tip)
    if record or still:
        _write(choice, record, still)
    else:
        _serve(choice, host, port, browser=browser)


def _write(choice: Choice, record: str | None, still: Path | None) -> None:
    with waiting("loading"):
        from ik_mdn.viewer import Session, save_still
        from sim.scenes import load_scene

        arm = choice.load_arm()
        scene = load_scene(choice.scene, arm)
        session = Session.load(arm, model=choice.model, task=choice.task)
    if still:
        with progress(count=False) as bar:
            job = bar.add_task(f"drawing {still}", total=None)
            save_still(still, session, scene, on_step=lambda done, all_: bar.update(job, completed=done, total=all_))
        report_note(f"{still}: written")
    if record:
        _record(record, session, scene)
        report_note(f"{record}: written; it plays in any browser, offline")


def _record(path: str, session: Session, scene: Scene) -> None:
    from ik_mdn.viewer import STOPS, record_page

    with progress() as bar:
        job = bar.add_task(f"recording {path}", total=STOPS)
        record_page(path, session, scene, on_stop=lambda: bar.advance(job))


def _serve(choice: Choice, host: str, port: int, *, browser: bool) -> None:
    import webbrowser

    with waiting("loading"):
        from ik_mdn.viewer import App, answer_quickly

        app = App(choice, host=host, port=port)
        answer_quickly()
    try:
        print(f"{app.address} (Ctrl-C ends it)", flush=True)
        if host not in _HERE:
            report_note("other machines can reach this page, and move the target")
        if browser:
            webbrowser.open(app.address)
        app.wait()
    except KeyboardInterrupt:
        print()
    finally:
        app.close()
