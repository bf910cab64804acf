"""A directory over LDAP (RFC 4511), read as a whole or asked about one password. The only door to python-ldap.

Nothing is sent before the connection is encrypted and the certificate checked; referrals are not followed; the library
reads no configuration of the machine's. It connects by itself, so the addresses of a host are looked at before, and the
connection's after, before any password (`policies/egress.py`). Whatever goes wrong is one error with a word for it:
then nothing is known, and what was known before grows old (`freshness.py`).
"""

import os
import ssl
import threading
import time
import unicodedata
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.config import is_loopback, read_setting
from gateway.errors import ConfigurationError, DirectoryUnavailableError
from gateway.identity.directory import Person, Snapshot, require_distinct
from gateway.identity.options import LdapOptions
from policies import egress
from policies.errors import EgressRefusedError

# Else libldap takes settings from the environment, the home and the working folder: also that certificates be ignored.
os.environ["LDAPNOINIT"] = "1"

import ldap
import ldap.dn
import ldap.filter
from ldap.controls.libldap import SimplePagedResultsControl
from ldap.ldapobject import LDAPObject

_Attributes = Mapping[str, Sequence[bytes]]
_Entries = Mapping[str, _Attributes]
_PORTS = {"ldap": 389, "ldaps": 636}
_TLS_1_2 = 0x303
_IN_CHAIN = "1.2.840.113556.1.4.1941"
"""LDAP_MATCHING_RULE_IN_CHAIN: Active Directory follows nested groups itself."""
_ACTIVE_DIRECTORY = b"1.2.840.113556.1.4.800"
_openings = threading.BoundedSemaphore(8)
"""Connections that are being opened: those that hang for ever must not become many."""
_WHOLE_READ = 60
"""A whole read may take so many times as long as one page may."""
_MOST_RANGES = 10_000
_SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class LdapDirectory:
    """One directory, at one or several addresses. Each read opens a connection of its own."""

    def __init__(self, options: LdapOptions, keys: Path) -> None:
        """Check the settings; nothing is connected yet.

        Raises:
            ConfigurationError: A setting is missing or not usable.
        """
        _check(options)
        self._options = options
        self._password = _read_password(options, keys)
        self._certificates = _certificates(options)

    def read(self) -> Snapshot:
        """All people and groups.

        Raises:
            DirectoryUnavailableError: It could not be read as a whole.
            ConflictError: Two groups have one name.
        """
        with self._translated(), self._connected() as connection:
            reading = _Reading(connection, self._options)
            return reading.snapshot()

    def verify(self, name: str, password: str) -> str:
        """The id of the entry whose name and password these are; empty when there is none.

        Raises:
            DirectoryUnavailableError: The directory cannot be asked.
        """
        # A bind with a name and no password is an anonymous one, and succeeds (RFC 4513, 5.1.2).
        if not password or "\0" in password or "\0" in name:
            return ""
        options = self._options
        with self._translated():
            with self._connected() as connection:
                named = f"({options.user_attribute}={ldap.filter.escape_filter_chars(name)})"
                found = _Reading(connection, options).people(f"(&{options.user_filter}{named})")
            if len(found) != 1:
                return ""
            ((dn, attributes),) = found
            try:
                with self._connected(dn, password):
                    return _entry_id(attributes, options.id_attribute)
            except ldap.INVALID_CREDENTIALS:
                return ""

    @contextmanager
    def _connected(self, dn: str = "", password: str = "") -> Iterator[LDAPObject]:
        """A connection as whoever reads the directory, or as somebody else."""
        connection = self._first_that_answers()
        try:
            if dn or self._options.bind_dn:
                connection.simple_bind_s(dn or self._options.bind_dn, password if dn else self._password)
            yield connection
        finally:
            connection.unbind_ext_s()

    def _first_that_answers(self) -> LDAPObject:
        for url in self._options.urls[:-1]:
            try:
                return self._opened(url)
            except (ldap.SERVER_DOWN, ldap.CONNECT_ERROR, ldap.TIMEOUT, ldap.UNAVAILABLE):
                continue
        return self._opened(self._options.urls[-1])

    def _opened(self, url: str) -> LDAPObject:
        """Open a connection, and give it up when that takes too long.

        libldap 2.5 with GnuTLS waits for ever for a server that takes a connection and says nothing where TLS should
        begin.
        """
        if not _openings.acquire(blocking=False):
            raise ldap.TIMEOUT({"desc": "earlier tries still wait for an answer"})
        opening: Future[LDAPObject] = Future()
        threading.Thread(target=self._open_into, args=(url, opening), daemon=True, name="ldap").start()
        try:
            # Connecting and each step of the handshake have their own time-outs where the library heeds them.
            return opening.result(self._options.timeout_seconds * 3)
        except TimeoutError as error:
            opening.add_done_callback(_close_late)
            raise ldap.TIMEOUT({"desc": "no answer to the beginning of TLS"}) from error

    def _open_into(self, url: str, opening: "Future[LDAPObject]") -> None:
        try:
            opening.set_result(self._open(url))
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            opening.set_exception(error)
        finally:
            _openings.release()

    def _open(self, url: str) -> LDAPObject:
        addresses = _addresses_of(url)
        connection = ldap.initialize(url, bytes_mode=False)
        seconds = self._options.timeout_seconds
        connection.protocol_version = ldap.VERSION3
        connection.set_option(ldap.OPT_REFERRALS, 0)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, seconds)
        connection.set_option(ldap.OPT_TIMEOUT, seconds)
        encrypted = not (self._options.plain and url.startswith("ldap://"))
        if encrypted:
            connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, self._certificates)
            connection.set_option(ldap.OPT_X_TLS_PROTOCOL_MIN, _TLS_1_2)
            connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)  # Last: only now do the others count.
        if encrypted and url.startswith("ldap://"):
            connection.start_tls_s()
        elif encrypted:
            connection.whoami_s()
        else:
            return connection  # Not connected yet; `plain` is for this machine's own addresses, which cannot change.
        try:
            egress.require_peer(connection.fileno(), addresses)
        except (EgressRefusedError, OSError):
            connection.unbind_ext_s()
            raise
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (ldap.LDAPError, UnicodeDecodeError, OSError, EgressRefusedError) as error:
            reason, what = _reason(error)
            message = f"The directory {' or '.join(self._options.urls)} {what} ({_said(error)}). Nothing was changed."
            raise DirectoryUnavailableError(message, reason) from error


class _Reading:
    """One read over one connection."""

    def __init__(self, connection: LDAPObject, options: LdapOptions) -> None:
        self._connection = connection
        self._options = options
        self._until = time.monotonic() + options.timeout_seconds * _WHOLE_READ

    def snapshot(self) -> Snapshot:
        options = self._options
        if options.members == "in-chain":
            self._require_active_directory()
        found = self.people(options.user_filter)
        people = {normal_dn(dn): attributes for dn, attributes in found}
        groups = self._groups()
        ids = {_entry_id(attributes, options.id_attribute) for attributes in people.values()}
        if not len(ids) == len(people) == len(found):
            raise ldap.LDAPError({"desc": "two entries have the same name or id: set ldap.id_attribute"})
        member_of, nestings = self._memberships(people, groups)
        return Snapshot(
            people=tuple(
                Person(
                    _entry_id(attributes, options.id_attribute),
                    _only(attributes, options.user_attribute),
                    frozenset(member_of[dn]),
                )
                for dn, attributes in people.items()
            ),
            groups=frozenset(groups.values()),
            nestings=frozenset(nestings),
        )

    def people(self, filter_: str) -> list[tuple[str, _Attributes]]:
        options = self._options
        wanted = [options.user_attribute, options.id_attribute]
        wanted += ["memberOf"] if options.members == "memberOf" else []
        return list(self._search(options.user_base, filter_, wanted))

    def _groups(self) -> dict[str, str]:
        """The groups' names by their normalised DNs."""
        options = self._options
        if not options.group_base:
            return {}
        found = self._search(options.group_base, options.group_filter, [options.group_attribute])
        named = [(normal_dn(dn), _only(attributes, options.group_attribute)) for dn, attributes in found]
        require_distinct((name, dn) for dn, name in named)
        return dict(named)

    def _memberships(
        self, people: _Entries, groups: Mapping[str, str]
    ) -> tuple[defaultdict[str, set[str]], set[tuple[str, str]]]:
        """The groups of each person, and which group is in which. Members that are neither are left out."""
        member_of: defaultdict[str, set[str]] = defaultdict(set)
        nestings: set[tuple[str, str]] = set()
        for member, group in self._pairs(people, groups):
            if member in people:
                member_of[member].add(groups[group])
            if member in groups and groups[member] != groups[group]:
                nestings.add((groups[member], groups[group]))
        return member_of, nestings

    def _pairs(self, people: _Entries, groups: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Every member with the group it is in, both as normalised DNs."""
        read = {"in-chain": self._chained, "member": self._named_by_group, "memberOf": self._named_by_member}
        return ((member, group) for member, group in read[self._options.members](people, groups) if group in groups)

    def _chained(self, _people: _Entries, groups: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        options = self._options
        for group in groups:
            chain = f"(memberOf:{_IN_CHAIN}:={ldap.filter.escape_filter_chars(group)})"
            for dn, _ in self._search(options.user_base, f"(&{options.user_filter}{chain})", ["1.1"]):
                yield normal_dn(dn), group

    def _named_by_member(self, people: _Entries, groups: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        options = self._options
        nested = self._search(options.group_base, options.group_filter, ["memberOf"]) if groups else ()
        for member, attributes in [*people.items(), *((normal_dn(dn), found) for dn, found in nested)]:
            for parent in _values(attributes, "memberOf"):
                yield member, normal_dn(parent.decode())

    def _named_by_group(self, people: _Entries, _groups: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        options = self._options
        by_name = {_only(attributes, options.user_attribute): dn for dn, attributes in people.items()}
        plain_names = options.member_attribute.lower() == "memberuid"
        for group, values in self._members():
            for value in values:
                member = by_name.get(value.decode()) if plain_names else normal_dn(value.decode())
                if member is not None:
                    yield member, group

    def _members(self) -> Iterator[tuple[str, list[bytes]]]:
        options, attribute = self._options, self._options.member_attribute
        if not options.group_base:
            return
        for dn, attributes in self._search(options.group_base, options.group_filter, [attribute]):

            def further(range_: str, dn: str = dn) -> _Attributes:
                ((_, found),) = self._search(dn, "(objectClass=*)", [f"{attribute};{range_}"], ldap.SCOPE_BASE)
                return found

            yield normal_dn(dn), whole_range(attributes, attribute, further)

    def _search(
        self, base: str, filter_: str, attributes: list[str], scope: int = ldap.SCOPE_SUBTREE
    ) -> Iterator[tuple[str, _Attributes]]:
        """The entries, page by page (RFC 2696)."""
        page = SimplePagedResultsControl(True, size=self._options.page_size, cookie="")
        left = self._options.most_entries
        while True:
            seconds = min(self._options.timeout_seconds, self._until - time.monotonic())
            if seconds <= 0:
                raise ldap.TIMEOUT({"desc": "the whole read took too long"})
            number = self._connection.search_ext(base, scope, filter_, attributes, serverctrls=[page], timeout=seconds)
            _, entries, _, controls = self._connection.result3(number, timeout=seconds)
            for dn, found in entries:
                if dn is None:  # A referral, which is not followed.
                    continue
                left -= 1
                if left < 0:
                    raise ldap.SIZELIMIT_EXCEEDED({"desc": f"more than {self._options.most_entries} entries"})
                yield dn, found
            cookies = [control.cookie for control in controls if isinstance(control, SimplePagedResultsControl)]
            if not cookies or not cookies[0]:
                return
            page.cookie = cookies[0]

    def _require_active_directory(self) -> None:
        """Other servers answer to the rule with nobody, without an error."""
        ((_, root),) = self._search("", "(objectClass=*)", ["supportedCapabilities"], ldap.SCOPE_BASE)
        if _ACTIVE_DIRECTORY not in _values(root, "supportedCapabilities"):
            raise ldap.INAPPROPRIATE_MATCHING({"desc": 'this is not Active Directory: set ldap.members to "member"'})


def _addresses_of(url: str) -> list[str]:
    parts = urlsplit(url)
    try:
        return egress.addresses_of(parts.hostname or "", parts.port or _PORTS[parts.scheme])
    except OSError as error:
        raise ldap.SERVER_DOWN({"desc": f"{parts.hostname} has no address"}) from error


def _close_late(opening: "Future[LDAPObject]") -> None:
    if opening.exception() is None:
        opening.result().unbind_ext_s()


def normal_dn(text: str) -> str:
    """A distinguished name in the one form that equal ones share: RFC 4514, its parts compared as by caseIgnoreMatch.

    Raises:
        ldap.DECODING_ERROR: It is none.
    """
    parts = [
        sorted(
            (type_.lower(), " ".join(unicodedata.normalize("NFKC", value).casefold().split()), flags)
            for type_, value, flags in rdn
        )
        for rdn in ldap.dn.str2dn(text)
    ]
    return str(ldap.dn.dn2str(parts))


def whole_range(attributes: _Attributes, attribute: str, further: Callable[[str], _Attributes]) -> list[bytes]:
    """All values of an attribute that Active Directory gives in parts (`member;range=0-1499`, ends with `-*`).

    Raises:
        ldap.PROTOCOL_ERROR: The parts do not follow each other, so that it is not known whether all were there.
    """
    values, begun = list(_values(attributes, attribute)), False
    for _ in range(_MOST_RANGES):
        ranged = [name for name in attributes if name.lower().startswith(f"{attribute.lower()};range=")]
        if not ranged:
            if begun:
                break
            return values
        begun = True
        first, _, last = ranged[0].partition("=")[2].partition("-")
        if len(ranged) > 1 or first != str(len(values)):
            break
        values += attributes[ranged[0]]
        if last == "*":
            return values
        if last != str(len(values) - 1):
            break
        attributes = further(f"range={len(values)}-*")
    raise ldap.PROTOCOL_ERROR({"desc": f"the values of {attribute} came in parts that do not follow each other"})


def _values(attributes: _Attributes, attribute: str) -> Sequence[bytes]:
    return next((values for name, values in attributes.items() if name.lower() == attribute.lower()), ())


def _only(attributes: _Attributes, attribute: str) -> str:
    """The one value of an attribute; empty where there is none, or several of which none is meant."""
    values = _values(attributes, attribute)
    return values[0].decode() if len(values) == 1 else ""


def _entry_id(attributes: _Attributes, attribute: str) -> str:
    values = _values(attributes, attribute)
    if len(values) != 1 or not values[0]:
        raise ldap.NO_SUCH_ATTRIBUTE({"desc": f"an entry has no {attribute}: set ldap.id_attribute"})
    if attribute.lower() == "objectguid":
        return str(uuid.UUID(bytes_le=values[0]))
    return values[0].decode().lower()


def _check(options: LdapOptions) -> None:
    """Refuse settings that are incomplete or send anything in the clear."""
    if not options.urls or not options.user_base:
        message = "ldap.urls and ldap.user_base must be set to read a directory."
        raise ConfigurationError(message)
    for url in options.urls:
        parts = urlsplit(url)
        if parts.scheme not in {"ldap", "ldaps"} or not parts.hostname or parts.path.strip("/") or parts.query:
            message = f"ldap.urls holds {url!r}. Write ldaps://HOST or ldap://HOST, with a port where it is another."
            raise ConfigurationError(message)
        if options.plain and parts.scheme == "ldap" and not is_loopback(parts.hostname):
            message = f"ldap.plain would send passwords to {parts.hostname} in the clear. It is for this machine only."
            raise ConfigurationError(message)


def _read_password(options: LdapOptions, keys: Path) -> str:
    return read_setting(keys / options.password_file, "directory's password") if options.bind_dn else ""


def _certificates(options: LdapOptions) -> str:
    default = ssl.get_default_verify_paths().cafile or ""
    candidates = [options.ca_file] if options.ca_file else [default, *_SYSTEM_CERTIFICATES]
    for path in candidates:
        if path and Path(path).is_file():
            return path
    if options.plain:
        return ""
    message = f"The certificates {candidates[0]!r} cannot be read. Set ldap.ca_file to the directory's, in PEM form."
    raise ConfigurationError(message)


_REASONS: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    ((EgressRefusedError,), "never-connected", "is where nothing connects to"),
    ((ldap.TIMEOUT, ldap.TIMELIMIT_EXCEEDED), "too-slow", "did not answer in time"),
    ((ldap.SERVER_DOWN, ldap.CONNECT_ERROR), "unreachable", "cannot be reached, or its certificate is not right"),
    (
        (ldap.INVALID_CREDENTIALS, ldap.INAPPROPRIATE_AUTH),
        "not-let-in",
        "does not accept ldap.bind_dn with its password",
    ),
    ((ldap.SIZELIMIT_EXCEEDED, ldap.ADMINLIMIT_EXCEEDED), "too-large", "has more entries than it or we give out"),
    ((ldap.REFERRAL,), "referral", "sends us elsewhere, which is not followed"),
    ((ldap.NO_SUCH_OBJECT, ldap.INVALID_DN_SYNTAX), "no-such-base", "has no such base"),
    ((ldap.FILTER_ERROR,), "filter-invalid", "cannot be asked with this filter"),
    ((ldap.INSUFFICIENT_ACCESS,), "not-allowed", "does not let us read that"),
)


def _reason(error: Exception) -> tuple[str, str]:
    for types, reason, what in _REASONS:
        if isinstance(error, types):
            return reason, what
    return "unreadable", "cannot be read"


def _said(error: Exception) -> str:
    """What the library says of an error, without what an entry holds."""
    if isinstance(error, EgressRefusedError):
        return str(error)
    told: Any = error.args[0] if error.args else {}
    if not isinstance(told, dict):
        return type(error).__name__
    return "; ".join(str(told[key]) for key in ("desc", "info") if told.get(key)) or type(error).__name__
