"""The web page of a comparison: in one file, complete, safe, and readable without its pictures."""

from __future__ import annotations

import dataclasses
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sim
from ik_mdn.cli import main
from ik_mdn.comparison.contestants import Contestants, load_contestants
from ik_mdn.comparison.execution import executed_names
from ik_mdn.comparison.methods import METHODS
from ik_mdn.comparison.page import overview_rows, render_page, write_page
from ik_mdn.comparison.survey import Survey, take_survey
from ik_mdn.evaluation.formatting import millimetres

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Tags with their attributes, the text, and whether all that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


pytestmark = pytest.mark.slow  # surveying takes a while


@pytest.fixture(scope="module")
def survey() -> Survey:
    contestants = load_contestants(sim.load_arm("planar2"))
    return take_survey(Contestants(contestants.solver, contestants.mse), count=30, targets=1)


@pytest.fixture(scope="module")
def text(survey: Survey) -> str:
    return render_page([survey], command="ik-mdn compare")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_loads_nothing(text: str, page: Page) -> None:
    for _, attributes in page.tags:
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(key, "#").startswith(("#", "data:"))  # type: ignore[union-attr]
    assert not re.search(r"https?://|@import|url\(", text)
    assert not page.all("script")


def test_every_tag_is_closed_and_the_page_tells_its_language(page: Page, text: str) -> None:
    assert page.open == []
    assert text.startswith("<!doctype html>")
    assert page.all("html")[0]["lang"] == "en"
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))


def test_pictures_are_whole_and_described(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) == 5  # the idea, three targets, the errors
    for picture in pictures:
        head, _, content = str(picture["src"]).partition(",")
        assert head == "data:image/png;base64"
        image = Image.open(BytesIO(b64decode(content, validate=True))).convert("RGB")
        assert min(image.size) > 300
        assert np.asarray(image).std() > 10  # not blank
        assert len(str(picture["alt"])) > 40


def test_links_lead_to_sections(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert str(link["href"])[1:] in ids


def test_every_method_has_its_rows(survey: Survey, page: Page) -> None:
    for result in survey.results:
        assert page.words.count(METHODS[result.name].name) >= 3  # overview, poses, executed
    assert executed_names()["controller"] in page.words
    assert METHODS["k1"].name in page.words.partition("no such model is there")[2]  # said to be left out


def test_numbers_in_the_page_are_those_measured(survey: Survey, page: Page) -> None:
    for result in survey.results:
        row = re.search(
            rf"{re.escape(METHODS[result.name].name)}\s*{re.escape(millimetres(result.errors.pos[0]))}", page.words
        )
        assert row, METHODS[result.name].name


def test_names_are_escaped(survey: Survey) -> None:
    solver = survey.contestants.solver
    evil = dataclasses.replace(solver.arm, name='<script>alert("x")</script>&')
    fake = dataclasses.replace(survey, contestants=Contestants(type(solver)(evil, solver.model)))
    text = render_page([fake], command="ik-mdn compare")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "&amp;" in text
    assert Page(text).open == []


def test_an_arm_without_a_regressor_has_no_pictures_of_poses(survey: Survey) -> None:
    bare = dataclasses.replace(survey, contestants=Contestants(survey.contestants.solver), targets=0, executed=())
    page = Page(render_page([bare], command="ik-mdn compare"))
    assert len(page.all("img")) == 2
    assert "executed in the simulator" not in page.words


def test_the_overview_marks_what_was_not_measured(survey: Survey) -> None:
    less = dataclasses.replace(survey, results=survey.results[1:])
    rows = dict(overview_rows([survey, less]))
    assert rows[METHODS["mse"].name][1] == "–"
    assert rows[METHODS["refined"].name] == ["100 %", "100 %"]
    assert METHODS["k1"].name not in rows


def test_pages_of_several_arms_report_each(survey: Survey, tmp_path: Path) -> None:
    drawn: list[str] = []
    other = dataclasses.replace(survey, seed=1)
    write_page(tmp_path / "two.html", [survey, other], command="", on_step=drawn.append)
    page = Page((tmp_path / "two.html").read_text(encoding="utf-8"))
    assert drawn == ["planar2", "planar2"]
    assert "30 poses, seed 1, 1 targets executed" in page.words
    assert [path.name for path in tmp_path.iterdir()] == ["two.html"]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_tables_scroll_in_boxes_of_their_own(text: str) -> None:
    assert text.count("<table>") == len(re.findall(r'<div class="scroll"[^>]*>\s*<table>', text)) > 0
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", text)


def test_the_page_tells_how_to_make_it_again_from_any_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shlex
    from html import unescape

    from sim.files import data_folder

    urdf, out = tmp_path / "my $arm's.urdf", tmp_path / "the page.html"
    urdf.write_bytes((data_folder("arms") / "planar2.urdf").read_bytes())
    typed = [str(urdf), "--count", "5", "--seed", "1", "--execute", "0", "--model", "planar2", "--report", str(out)]
    assert main(["compare", *typed]) == 0
    (said,) = re.findall(r"<pre><code>(.*?)</code>", out.read_text(encoding="utf-8"))
    assert shlex.split(unescape(said)) == ["ik-mdn", "compare", *typed]


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    assert main(["compare", "planar2", "--count", "10", "--execute", "1", "--report", str(out)]) == 0
    assert Page(out.read_text(encoding="utf-8")).open == []
    assert f"wrote {out}" in capsys.readouterr().err.replace("\n", "")
