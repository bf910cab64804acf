"""Where a citation may lead: plain web addresses of the document, and nowhere else."""

import pytest

from gateway.reading import web_address


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JAVASCRIPT://x/%0aalert(1)",
        "data:text/html;base64,PHNjcmlwdD4=",
        "file:///etc/passwd",
        "ftp://files.example/x",
        "//evil.example/x",
        "/logout",
        "https:evil.example",
        "https:///x",
        "https://\\evil.example",
        "https://docs.example\\@evil.example/",
        "https://docs.example@evil.example/",
        "https://user:secret@docs.example/",
        "https://docs.example/a b",
        'https://docs.example/"onclick="x',
        "https://docs.example/<script>",
        "https://docs.example/\nx",
        " https://docs.example/",
        "https://docs.example/\u0085x",
        "https://[::1/x",
        "https://docs.example/" + "x" * 3000,
        "",
    ],
)
def test_what_is_no_plain_web_address_is_not_shown(url: str) -> None:
    assert web_address(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://docs.example/handbook/travel.md#allowances",
        "http://files.internal:8080/a%20b?version=2&x=@y",
        "HTTPS://docs.example",
        "https://[2001:db8::1]/x",
        "https://docs.example/résumé(1).pdf",
    ],
)
def test_plain_web_addresses_are_shown_as_they_are(url: str) -> None:
    assert web_address(url) == url
