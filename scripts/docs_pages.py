"""The pages of the documentation that are made, not written: python scripts/docs_pages.py [--out docs/generated].

Results from `data/results`, one card per shipped model, the gallery, and an API page per package. The build of the
documentation calls `write_pages` first, so no number on these pages is typed by hand.
"""

from __future__ import annotations

from pathlib import Path

from pages.measured import results_pages
from pages.models import model_pages
from pages.reference import api_pages
from pages.text import CAPTIONS, page
from results import DATA, FIGURES, run_script

OUT = DATA.parent / "docs" / "generated"


def main(out: Path = OUT) -> None:
    """Write the pages.

    Args:
        out: Folder; what lies in it under the same names is replaced.
    """
    for file in write_pages(out):
        print(file)


def write_pages(out: Path) -> list[Path]:
    """All generated pages, written to a folder where they changed.

    Args:
        out: Folder, made if missing.

    Returns:
        The files.
    """
    pages = {"gallery.md": gallery(), **results_pages(), **model_pages(), **api_pages()}
    files = []
    for name, text in pages.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
        files.append(file)
    return files


def gallery() -> str:
    """Every figure of `data/figures`."""
    shown = []
    for file in sorted(FIGURES.iterdir()):
        caption = CAPTIONS.get(file.name, file.stem.replace("_", " "))
        shown.append(f"```{{figure}} ../../data/figures/{file.name}\n:alt: {caption}\n\n{caption}\n```")
    return page("Gallery", "More figures, with a sentence each: `ik-mdn teach --out out/teach`.", *shown)


if __name__ == "__main__":
    run_script(main)
