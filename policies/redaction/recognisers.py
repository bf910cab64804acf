"""The door to Presidio: its recognisers that we rely on, each with what its matches mean here.

Importing this module takes seconds, since Presidio imports torch where torch is installed; `engine.py` therefore
does it in its explicit loading step.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any

import tldextract
from presidio_analyzer import Pattern
from presidio_analyzer import predefined_recognizers as predefined

from policies.errors import RedactionFailedError
from policies.personal_data import EntityType, Span

_TIMEOUT_S = 0.5
_SURE = 0.5
_LOOK_BACK_CHARS = 60
# Presidio's own pattern takes a whole query string for the name before the @ sign.
_EMAIL = Pattern("e-mail", r"[\w.!#$%'*+^`{|}~-]{1,64}@\w+(?:-+\w+)*(?:\.\w+(?:-+\w+)*)+\b", 0.5)
# Names of hosts inside companies, which the public suffix list does not know.
_PRIVATE_SUFFIXES = (
    ".local",
    ".internal",
    ".intranet",
    ".corp",
    ".lan",
    ".home",
    ".test",
    ".example",
    ".invalid",
    ".localdomain",
)
_SERVICE_ACCOUNTS = ("git@", "noreply@", "no-reply@")
# Offline: no suffix list is ever fetched, the snapshot inside the package serves.
_SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """A recogniser of Presidio and the type of what it finds.

    Near the words of `context` even a weak match counts; right after those of `unless` none does. Text in which `needs`
    finds nothing holds nothing that would count; Presidio takes longer to say so.
    """

    name: str
    type: EntityType
    presidio: Any
    context: re.Pattern[str] | None
    always: bool
    capitals: bool
    unless: re.Pattern[str] | None = None
    needs: re.Pattern[str] | None = None

    def find(self, text: str, begin: int) -> Iterator[Span]:
        """Spans in `text` from `begin` on; what stands before serves as context.

        Raises:
            RedactionFailedError: A pattern did not finish in time.
        """
        if self.needs and not self.needs.search(text):
            return
        for result in self.presidio.analyze(text, self.presidio.supported_entities):
            value = text[result.start : result.end]
            if result.end > begin and self._believes(text, value, result.start, result.score):
                yield Span(max(result.start, begin), result.end, self.type, float(result.score), self.name)

    def _believes(self, text: str, value: str, start: int, score: float) -> bool:
        if self.capitals and value != value.upper():
            return False
        if self.unless and self.unless.search(text[max(0, start - _LOOK_BACK_CHARS) : start]):
            return False
        if self.always and score >= _SURE:
            return True
        return bool(self.context and self.context.search(text[max(0, start - _LOOK_BACK_CHARS) : start]))


class _InTime:
    """A compiled pattern that fails when it takes too long; Presidio would drop its matches and go on."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern

    def finditer(self, text: str, timeout: float | None = None) -> list[Any]:
        """All matches, or an error; `timeout` is what Presidio would have allowed."""
        del timeout
        try:
            return list(self._pattern.finditer(text, timeout=_TIMEOUT_S))
        except TimeoutError as error:
            message = "A pattern took too long to look for personal data, so the text was not used. Shorten the text."
            raise RedactionFailedError(message) from error


# Presidio is untyped, hence the two ignored types.
class OfflineEmailRecognizer(predefined.EmailRecognizer):  # type: ignore[misc]
    """Presidio's e-mail recogniser, which otherwise downloads the public suffix list."""

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the address ends in a domain that can be, and is no service's."""
        address = pattern_text.casefold()
        return not address.startswith(_SERVICE_ACCOUNTS) and (
            address.endswith(_PRIVATE_SUFFIXES) or bool(_SUFFIXES(address.rpartition("@")[2]).suffix)
        )


class MachineIpRecognizer(predefined.IpRecognizer):  # type: ignore[misc]
    """Presidio's IP recogniser, without addresses that stand for no machine in particular."""

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether the address is none, or names a range, a loop-back or a broadcast."""
        try:
            interface = ip_interface(pattern_text)
        except ValueError:
            return True
        address, network = interface.ip, interface.network
        general = (
            address.is_loopback or address.is_unspecified or address.is_multicast or str(address).startswith("255.")
        )
        return bool(general or (network.num_addresses > 1 and address == network.network_address))


def load_recognisers() -> dict[str, Sequence[Recogniser]]:
    """The recognisers, by what a text must hold for them to find anything: `at` an @ sign, `digit` a digit."""
    national = EntityType.NATIONAL_ID
    return {
        "at": [_recogniser(OfflineEmailRecognizer([_EMAIL]), EntityType.EMAIL_ADDRESS)],
        "digit": [
            _recogniser(
                MachineIpRecognizer(),
                EntityType.IP_ADDRESS,
                unless=r"(?:\b(?:versions?|release|build|firmware|patch|upgraded? (?:to|from))\W{0,3}|\bv\.?\s?"
                r"|[=~<>]=\s?)$",
                needs=r"\d\.\d{1,3}\.\d|:[0-9A-Fa-f]{0,4}:",
            ),
            _recogniser(predefined.CryptoRecognizer(), EntityType.CRYPTO, needs=r"\w{26}"),
            # Its other patterns match any ten letters and digits, slowly.
            _recogniser(
                predefined.InPanRecognizer(predefined.InPanRecognizer.PATTERNS[:1]),
                national,
                capitals=True,
                needs=r"\d{4}[^\W\d_]",
            ),
            _recogniser(predefined.SgFinRecognizer(), national, r"\b(?:nric|fin)\b", always=False),
            _recogniser(predefined.KrRrnRecognizer(), national, r"\brrn\b|resident registration", always=False),
            _recogniser(predefined.InAadhaarRecognizer(), national, r"aadhaa?r|uidai", always=False),
            _recogniser(
                predefined.MedicalLicenseRecognizer(),
                EntityType.IDENTIFIER,
                r"\bdea\b|medical licen[cs]e",
                always=False,
            ),
        ],
    }


def _recogniser(
    presidio: Any,
    kind: EntityType,
    context: str = "",
    *,
    always: bool = True,
    capitals: bool = False,
    unless: str = "",
    needs: str = "",
) -> Recogniser:
    words = re.compile(context, re.IGNORECASE) if context else None
    others = re.compile(unless, re.IGNORECASE) if unless else None
    # What counts near words only needs these. Where context is cut off, a word of it may be the end of a longer one.
    quick = needs if always else context.replace(r"\b", "")
    quickly = re.compile(quick, re.IGNORECASE) if quick else None
    return Recogniser(presidio.name, kind, _guarded(presidio), words, always, capitals, others, quickly)


def _guarded(presidio: Any) -> Any:
    """The recogniser with patterns of its own that fail in time; those of its class are shared with others."""
    presidio.patterns = [Pattern(pattern.name, pattern.regex, pattern.score) for pattern in presidio.patterns]
    presidio.analyze("", presidio.supported_entities)  # Compiles the patterns with the recogniser's flags.
    for pattern in presidio.patterns:
        pattern.compiled_regex = _InTime(pattern.compiled_regex)
    return presidio
