"""The settings of signing in."""

from typing import Annotated, Literal

import msgspec

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_NotNegative = Annotated[int, msgspec.Meta(ge=0)]

Algorithm = Literal["EdDSA", "ES256", "PS256", "RS256"]
"""The signatures a provider may use. All are asymmetric: a shared secret that signs could be guessed or reflected."""


class SignInOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How people sign in with a password, and how long a session lasts.

    `passwords` false leaves single sign-on and API keys alone. `company_words` may not be what a password is made of:
    the company's name, products and places. A session ends `idle_minutes` after its last request and `session_hours`
    after it began; its cookie is exchanged every `rotate_minutes`. `origins` are further addresses of the web
    interface, such as "https://docs.example", where a proxy changes the Host header.
    """

    passwords: bool = True
    company_words: tuple[str, ...] = ()
    idle_minutes: _Positive = 60
    session_hours: _Positive = 12
    rotate_minutes: _Positive = 15
    origins: tuple[str, ...] = ()


class LdapOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A directory that is read with LDAP; switched off while `urls` is empty.

    Every address is `ldaps://`, or `ldap://` with StartTLS; `plain` lets `ldap://` to this machine go without. The
    password of `bind_dn` is in `password_file`: a name in `keys/` or a whole path, readable by its owner alone.
    `members` says which way memberships are written: "member" (on the group, which names its members), "memberOf" (on
    the member), or "in-chain" (the same, resolved by Active Directory). `id_attribute` never changes for an entry.
    People are denied when the directory was not read for `max_age_minutes`. `existing_users` says what
    happens to a plain employee whose name an entry has: "link" them, or "leave" them alone.
    """

    urls: tuple[str, ...] = ()
    plain: bool = False
    ca_file: str = ""
    bind_dn: str = ""
    password_file: str = "ldap-password"  # noqa: S105 - a file's name
    user_base: str = ""
    user_filter: str = "(objectClass=inetOrgPerson)"
    user_attribute: str = "uid"
    id_attribute: str = "entryUUID"
    group_base: str = ""
    group_filter: str = "(objectClass=groupOfNames)"
    group_attribute: str = "cn"
    members: Literal["member", "memberOf", "in-chain"] = "member"
    member_attribute: str = "member"
    existing_users: Literal["link", "leave"] = "link"
    sign_in: bool = False
    page_size: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 500
    most_entries: _Positive = 200_000
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    every_minutes: _Positive = 15
    max_age_minutes: _Positive = 120
    most_removed_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 20


class ScimOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Users and groups that an identity provider sends with SCIM 2.0.

    `existing_users` says what happens when it creates somebody whose name a plain employee has already: "link" them, or
    "refuse".
    """

    enabled: bool = False
    existing_users: Literal["link", "refuse"] = "link"


class OidcOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Single sign-on with OpenID Connect; switched off while `issuer` is empty.

    `client_secret_file` is a name in `keys/` or a whole path, readable by its owner alone; empty for a public client.
    `hosts` are those besides the issuer's that the provider's documents may name. `user_claim` must be one that people
    cannot choose themselves. `first_sign_in` says what happens when the provider vouches for somebody who is not linked
    to a user yet: "refuse", "link" to the plain employee of that name, or "create" one too. `groups_claim` replaces the
    user's groups at each sign-in; empty leaves them alone.
    """

    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    redirect_uri: str = ""
    post_logout_uri: str = ""
    scopes: tuple[str, ...] = ("openid", "profile")
    algorithms: tuple[Algorithm, ...] = ("RS256",)
    hosts: tuple[str, ...] = ()
    ca_file: str = ""
    user_claim: str = "preferred_username"
    groups_claim: str = "groups"
    first_sign_in: Literal["refuse", "link", "create"] = "link"
    max_age_minutes: _NotNegative = 0
