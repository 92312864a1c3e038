"""The generated pages hold the numbers of the files they come from, and broken links are found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import check_links
import docs_pages
import pytest
import reach_suites
from pages import measured, models, reference
from results import DATA, RESULTS

from ik_mdn.model import load_model


def test_every_result_file_has_a_page() -> None:
    names = {Path(name).stem for name in measured.results_pages()}
    assert names == {file.stem for file in RESULTS.glob("*.json")}


def test_the_command_of_a_page_makes_its_file() -> None:
    for name, page in measured.results_pages().items():
        *_, line = re.findall(r"^(?:python scripts|ik-mdn).*", page, re.M)
        script, *words = line.replace("python scripts/", "").split()
        plain = not [word for word in words if word.startswith("--")] or script == "kruse_arm.py"  # which adds rows
        file = f"data/results/{Path(name).stem}.json"
        assert plain or file in words or words[-2:] == ["--data", "data"], line


def test_the_page_of_the_published_benchmark_shows_what_is_there() -> None:
    found = json.loads((RESULTS / "kruse_arm.json").read_text())
    whole = measured.kruse_page(found)
    assert "| x itself, larger, 0.65 M parameters, 12,000 steps, raw draws | 0.00320 |" in whole
    for key in set(found) - {"targets", "exact"}:
        lines = measured.kruse_page({name: one for name, one in found.items() if name != key}).splitlines()
        assert set(lines) < set(whole.splitlines()), key


def test_the_command_of_the_reach_page_reaches_its_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[reach_suites.Cell] = []
    monkeypatch.setattr(reach_suites, "run_cells", lambda cells, *_, **__: ran.extend(cells))
    monkeypatch.setattr(reach_suites, "read_summary", lambda folder: {})
    monkeypatch.setattr(reach_suites, "describe", lambda cell, summary: {})
    monkeypatch.setattr(reach_suites, "show", lambda rows: None)
    reach_suites.main(out=tmp_path / "reach_suites.json")
    found = json.loads((RESULTS / "reach_suites.json").read_text())["cells"]
    assert [(cell.arm, cell.scene, cell.suite) for cell in ran] == [
        (cell["arm"], cell["scene"], cell["suite"]) for cell in found
    ]


def test_the_comparison_page_follows_its_file() -> None:
    found = json.loads((RESULTS / "compare_arms.json").read_text())
    assert found["arms"][0]["methods"][0]["method"] == "MSE regression"
    found["arms"][0]["methods"][0]["err_pos_m"]["median"] = 0.123456
    assert "| MSE regression | 123\u00a0mm," in measured.comparison_page(found)
    assert "| **MDN + refinement** | < 0.001\u00a0mm, 100\u00a0% |" in measured.comparison_page(found)


def test_a_model_card_shows_the_report_card_in_the_file() -> None:
    model = load_model("planar2")
    card = models.model_card("planar2", model)
    assert f"| nll | {model.report.values['nll']:.4g} |" in card
    assert model.arm.fingerprint in card


def test_every_public_name_of_a_room_is_on_its_page() -> None:
    for package, names in reference.DOORS.items():
        for room in names:
            module = __import__(f"{package}.{room}", fromlist=["__all__"])
            page = reference.room_page(f"{package}.{room}")
            for name in module.__all__:
                assert f":: {name}\n" in page or f"`{name}`" in page


def test_every_room_with_a_door_is_in_the_reference() -> None:
    for package, names in reference.DOORS.items():
        doors = {file.parent.name for file in (DATA.parent / package).glob("*/__init__.py")}
        assert doors - {"cli"} == set(names)


def test_unchanged_pages_are_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("results_pages", "model_pages", "api_pages"):
        monkeypatch.setattr(docs_pages, name, dict)
    (file,) = docs_pages.write_pages(tmp_path)
    before = file.stat().st_mtime_ns
    docs_pages.write_pages(tmp_path)
    assert file.stat().st_mtime_ns == before


def test_links_to_missing_files_and_anchors_are_found(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<p id="here"></p>')
    links = ("b.html", "b.html#here", "b.html#gone", "c.html", "https://example.org/", "#top", "https:///x")
    (tmp_path / "a.html").write_text("".join(f'<a href="{link}">x</a>' for link in links))
    found = list(check_links.broken_links(tmp_path))
    assert found == [
        "a.html: b.html#gone leads to no anchor",
        "a.html: c.html leads to no file",
        "a.html: https:///x names no host",
    ]
