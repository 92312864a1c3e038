"""Internal links of built pages: python scripts/check_links.py docs/_build/html. Links that leave the folder are only counted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one tag."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name == "id" and value:
                self.anchors.add(value)


def broken_links(folder: Path) -> Iterator[str]:
    """A line for every link to a file or anchor that is not there.

    Args:
        folder: Built pages.
    """
    pages = {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in folder.rglob("*.html")}
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if parts.scheme in ("http", "https") and not parts.hostname:
                    yield f"{file.name}: {link} names no host"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.exists():
                yield f"{file.name}: {link} leads to no file"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{file.name}: {link} leads to no anchor"


if __name__ == "__main__":
    built = Path(sys.argv[1])
    found = sorted(set(broken_links(built))) if (built / "index.html").exists() else [f"{built} has no index.html"]
    print("\n".join(found) or "all internal links lead somewhere")
    sys.exit(bool(found))
