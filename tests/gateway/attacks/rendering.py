"""What clients make of an answer: Markdown renderers at their most permissive, and what is alive in the result."""

from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser

import markdown
import mistune
from markdown_it import MarkdownIt

_INERT = frozenset(
    "abbr blockquote br code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr li mark ol p pre rp rt ruby s section span"
    " strong sub sup table tbody td th thead tr ul".split()
)
_INERT_ATTRIBUTES = {
    "class": None,
    "start": None,
    "title": None,
    "style": {"text-align:left", "text-align:center", "text-align:right", "text-align: left;", "text-align: right;",
              "text-align: center;"},
}  # fmt: skip


class _Alive(HTMLParser):
    """Collects elements and attributes that are more than words in a form."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INERT:
            self.found.append(f"<{tag} {attrs}")
            return
        for name, value in attrs:
            allowed = _INERT_ATTRIBUTES.get(name, frozenset())
            empty = value in {None, "", "None"} and not name.startswith("on")  # Names without a value do nothing.
            if not empty and allowed is not None and value not in allowed:
                self.found.append(f"<{tag}> {name}={value}")

    def handle_decl(self, decl: str) -> None:
        self.found.append(f"<!{decl}")

    def unknown_decl(self, data: str) -> None:
        self.found.append(f"<![{data}")

    def handle_pi(self, data: str) -> None:
        self.found.append(f"<?{data}")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"<!--{data}")


def alive(page: str) -> list[str]:
    """Elements and attributes of some HTML that a browser may fetch, follow or run, or that nobody made on purpose."""
    parser = _Alive()
    parser.feed(page)
    parser.close()
    return parser.found


@cache
def renderers() -> dict[str, Callable[[str], str]]:
    """By name: what makes HTML of Markdown, with HTML let through and every address linked."""
    permissive = MarkdownIt("commonmark", {"html": True})
    linking = MarkdownIt("gfm-like", {"html": True, "linkify": True, "typographer": True})
    guessing = MarkdownIt("gfm-like", {"html": True, "linkify": True, "breaks": True})
    guessing.linkify.set({"fuzzy_link": True, "fuzzy_email": True})  # type: ignore[union-attr]
    plugins = [
        "url",
        "table",
        "footnotes",
        "strikethrough",
        "abbr",
        "def_list",
        "mark",
        "insert",
        "superscript",
        "math",
    ]
    lenient = mistune.create_markdown(escape=False, plugins=plugins)
    extensions = ["extra", "attr_list", "wikilinks", "admonition", "sane_lists", "nl2br", "legacy_em"]
    return {
        "commonmark": permissive.render,
        "github": linking.render,
        "guessing": guessing.render,
        "mistune": lambda text: str(lenient(text)),
        "markdown": lambda text: markdown.markdown(text, extensions=extensions),
        "none": lambda text: text,
    }


def alive_in(text: str) -> dict[str, list[str]]:
    """What of an answer is alive, by the renderer that makes it so."""
    found = {name: alive(render(text)) for name, render in renderers().items()}
    return {name: what for name, what in found.items() if what}
