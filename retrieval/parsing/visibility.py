"""Which parts of a web page a reader never sees.

They are left out: hidden text is a way to talk to the model behind the reader's back. Where words were left out is
noted on the element before them, or on the one around them.

Judged are attributes, inline styles and the simplest rules of style sheets inside the page. What outer style sheets,
scripts or selectors of several parts hide is not known here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from lxml import etree
from lxml.html import HtmlElement

from retrieval.parsing.document import says_something

_NEVER_SHOWN = frozenset(
    """audio button canvas datalist embed head iframe meter nav noframes noscript object progress rp script select
    style svg template textarea title video""".split()  # noqa: SIM905 - reads better than a list of strings
)
_HIDDEN = "hidden-from-readers"
HIDDEN_AFTER = "hidden-after"
"""An attribute of an element after which words were left out."""
HIDDEN_WITHIN = "hidden-within"
"""An attribute of an element at whose beginning words were left out."""
_SIMPLE_SELECTOR = re.compile(r"(?:[a-z0-9]*[.#][\w-]+|[a-z0-9]+)\Z")
_LENGTH = re.compile(r"(-?\d{0,6}\.?\d{1,6})\s*(px|pt|em|rem|%|)\Z")
_PIXELS = {"": 1.0, "%": 0.16, "em": 16.0, "pt": 1.33, "px": 1.0, "rem": 16.0}
_TINY_PIXELS = 2.0
_FAR_OUTSIDE_PIXELS = -500.0
_FAINT = 0.05
_ANCESTORS = 30
_WHITE = frozenset({"#fefefe", "#fff", "#fffffe", "#ffffff", "rgb(255,255,255)", "white"})

Declarations = Mapping[str, str]


def drop_hidden(root: HtmlElement) -> None:
    """Take out of the tree what is not shown to a reader, in place."""
    selectors = _hiding_selectors("\n".join(style.text or "" for style in root.iter("style")))
    etree.strip_elements(root, *_NEVER_SHOWN, with_tail=False)
    hidden = list(_outermost(root, selectors))
    _note(hidden)
    for element in hidden:
        element.tag = _HIDDEN
    # One by one, each would put the text after it behind all the text before it.
    etree.strip_elements(root, _HIDDEN, with_tail=False)


def _outermost(root: HtmlElement, selectors: frozenset[str]) -> Iterator[HtmlElement]:
    """The hidden elements that stand in no other, in order."""
    walker = etree.iterwalk(root, events=("start",))
    for _, element in walker:
        if element is not root and _is_hidden(element, selectors):
            walker.skip_subtree()
            yield element


def _note(hidden: Sequence[HtmlElement]) -> None:
    """Note beside hidden elements that they hold words; beside which element, for one after another hidden one too."""
    beside: dict[HtmlElement, tuple[HtmlElement, str]] = {}
    for element in hidden:
        before = element.getprevious()
        if before is None:
            beside[element] = element.getparent(), HIDDEN_WITHIN
        else:
            beside[element] = beside.get(before) or (before, HIDDEN_AFTER)
        if says_something("".join(element.itertext())):
            place, name = beside[element]
            place.set(name, "")


def _is_hidden(element: HtmlElement, selectors: frozenset[str]) -> bool:
    attributes = element.attrib
    if "hidden" in attributes or (element.tag == "dialog" and "open" not in attributes):
        return True
    if selectors and not selectors.isdisjoint(_names(element)):
        return True
    if "style" in attributes:
        declared = _declarations(attributes["style"])
        return _conceals(declared) or (declared.get("color") in _WHITE and not _has_background(element))
    return element.tag == "font" and attributes.get("color", "").lower() in _WHITE and not _has_background(element)


def _names(element: HtmlElement) -> Iterator[str]:
    """The simple selectors that would match the element."""
    tag, attributes = str(element.tag), element.attrib
    yield tag
    for mark, value in ((".", attributes.get("class", "")), ("#", attributes.get("id", ""))):
        for name in value.lower().split():
            yield mark + name
            yield tag + mark + name


def _conceals(declared: Declarations) -> bool:
    """Does this style keep an element's text from being seen?"""
    if declared.get("display") == "none" or declared.get("visibility") in {"hidden", "collapse"}:
        return True
    if declared.get("mso-hide") == "all" or declared.get("color") == "transparent":
        return True
    if "color" in declared and declared["color"] in {declared.get("background"), declared.get("background-color")}:
        return True
    return _is_shrunk(declared) or _is_moved_away(declared)


def _is_shrunk(declared: Declarations) -> bool:
    if _at_most(declared, "opacity", _FAINT) or _at_most(declared, "font-size", _TINY_PIXELS):
        return True
    sizes = ("width", "height", "max-width", "max-height")
    clipped = declared.get("overflow") == "hidden" and any(_at_most(declared, size, _TINY_PIXELS) for size in sizes)
    return clipped or declared.get("transform", "").startswith("scale(0)")


def _is_moved_away(declared: Declarations) -> bool:
    if any(_at_most(declared, place, _FAR_OUTSIDE_PIXELS) for place in ("left", "top", "text-indent", "margin-left")):
        return True
    return declared.get("clip", "").startswith(("rect(0", "rect(1px")) or declared.get("clip-path", "") in {
        "inset(50%)",
        "inset(100%)",
    }


def _at_most(declared: Declarations, name: str, limit: float) -> bool:
    match = _LENGTH.match(declared.get(name, ""))
    return match is not None and float(match.group(1)) * _PIXELS[match.group(2)] <= limit


def _has_background(element: HtmlElement) -> bool:
    """Whether something around the element may be coloured, so that white text on it can be read."""
    around = (element, *islice(element.iterancestors(), _ANCESTORS))
    return any(
        "bgcolor" in one.attrib or "class" in one.attrib or "background" in one.get("style", "") for one in around
    )


def _declarations(style: str) -> dict[str, str]:
    pairs = (part.partition(":") for part in style.lower().split(";"))
    return {name.strip(): value.replace("!important", "").strip().replace(", ", ",") for name, _, value in pairs}


def _hiding_selectors(css: str) -> frozenset[str]:
    """The simple selectors that a style sheet hides; the last rule for a selector counts."""
    hides: dict[str, bool] = {}
    for selectors, style in _rules(css.lower()):
        declared = _declarations(style)
        for selector in map(str.strip, selectors.split(",")):
            if _SIMPLE_SELECTOR.match(selector) and (_conceals(declared) or "display" in declared):
                hides[selector] = _conceals(declared)
    return frozenset(selector for selector, hidden in hides.items() if hidden)


def _rules(css: str) -> Iterator[tuple[str, str]]:
    """The plain rules of a style sheet; blocks such as `@media`, which hold only at times, are passed over."""
    first, *commented = css.split("/*")
    css = first + "".join(part.partition("*/")[2] for part in commented)
    depth, conditional = 0, False
    for part in css.split("}"):
        *outer, style = part.split("{")
        if outer and outer[0].rpartition(";")[2].lstrip().startswith("@"):
            conditional = True
        elif outer and not conditional and depth == 0:
            yield outer[0].rpartition(";")[2].strip(), style
        depth = max(0, depth + len(outer) - 1)
        conditional = conditional and depth > 0
