"""A real directory is read whole and encrypted, or not at all; who left it is out, and nobody is let in by doubt."""

import asyncio
import dataclasses
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import ldap
import msgspec
import pytest

from gateway.app import create_app
from gateway.errors import ConfigurationError, ConflictError, DirectoryUnavailableError, NotAuthenticatedError
from gateway.identity import directories
from gateway.identity import ldap as door
from gateway.identity.directory import Plan, Snapshot
from gateway.identity.ldap import LdapDirectory, normal_dn, whole_range
from gateway.identity.memberships import DirectoryRow, Origin, write_groups
from gateway.identity.options import LdapOptions
from policies.principals import Role
from retrieval.sessions import writing
from tests.gateway.conftest import World, eventually, recorded, running
from tests.gateway.identity.slapd import (
    BASE,
    GROUPS,
    PEOPLE,
    READER,
    READER_PASSWORD,
    Slapd,
    free_port,
    group_dn,
    ldif_group,
    ldif_person,
    person_dn,
    running_slapd,
    write_certificates,
)

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[Slapd]:
    """A directory with two people, in nested groups."""
    entries = [
        *map(ldif_person, ["ada", "grace"]),
        ldif_group("payroll", [person_dn("ada")]),
        ldif_group("finance", [group_dn("payroll"), person_dn("grace")]),
        ldif_group("staff", [group_dn("finance")]),
    ]
    with running_slapd(tmp_path / "slapd", entries) as server:
        yield server


def options_of(server: Slapd, **changes: Any) -> LdapOptions:
    usual = LdapOptions(
        urls=(server.plain,),
        ca_file=server.ca,
        bind_dn=READER,
        user_base=PEOPLE,
        group_base=GROUPS,
        timeout_seconds=20,
    )
    return msgspec.structs.replace(usual, **changes)


def opened(server: Slapd, **changes: Any) -> LdapDirectory:
    """The directory as the settings name it."""
    keys = server.folder / "keys"
    keys.mkdir(exist_ok=True)
    (keys / "ldap-password").write_text(READER_PASSWORD)
    (keys / "ldap-password").chmod(0o600)
    return LdapDirectory(options_of(server, **changes), keys)


def groups_in(snapshot: Snapshot) -> dict[str, set[str]]:
    return {person.name: set(person.groups) for person in snapshot.people}


def use(world: World, server: Slapd, **changes: Any) -> None:
    """Set the installation up for the directory; before anything of it is used."""
    services: Any = world.services
    (services.home.keys / "ldap-password").write_text(READER_PASSWORD)
    (services.home.keys / "ldap-password").chmod(0o600)
    services.config = msgspec.structs.replace(services.config, ldap=options_of(server, **changes))
    for part in ("ldap", "directories", "freshness", "users", "sessions", "callers", "password_sign_in"):
        services.__dict__.pop(part, None)


def sync(world: World, **how: Any) -> Any:
    return world.services.directories.sync("test", **how)


def groups_of(world: World, user: str) -> set[str]:
    return set(world.services.users.principal(user).groups)


@pytest.mark.parametrize("secure", [False, True], ids=["StartTLS", "ldaps"])
def test_people_and_nested_groups_are_read_encrypted(slapd: Slapd, secure: object) -> None:
    snapshot = opened(slapd, urls=(slapd.secure if secure else slapd.plain,)).read()
    assert groups_in(snapshot) == {"ada": {"payroll"}, "grace": {"finance"}}
    assert snapshot.nestings == {("payroll", "finance"), ("finance", "staff")}
    assert len({person.id for person in snapshot.people}) == 2


@pytest.mark.parametrize("secure", [False, True], ids=["StartTLS", "ldaps"])
def test_a_certificate_of_somebody_elses_is_refused_before_the_password_is_sent(
    slapd: Slapd, secure: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_certificates(tmp_path)
    directory = opened(slapd, urls=(slapd.secure if secure else slapd.plain,), ca_file=str(tmp_path / "ca.pem"))
    monkeypatch.setattr(ldap.ldapobject.SimpleLDAPObject, "simple_bind", lambda *_: pytest.fail("a password was sent"))
    with pytest.raises(DirectoryUnavailableError) as raised:
        directory.read()
    assert raised.value.reason == "unreachable"


def test_a_certificate_for_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tests.gateway.identity.slapd.write_certificates", lambda folder: write_certificates(folder, ("elsewhere",))
    )
    with running_slapd(tmp_path / "slapd") as server, pytest.raises(DirectoryUnavailableError):
        opened(server).read()


def test_a_client_that_asks_for_no_certificate_is_noticed(slapd: Slapd, tmp_path: Path, monkeypatch: Any) -> None:
    """Negative control of the two above: without the demand the wrong certificate is taken."""
    write_certificates(tmp_path)
    directory = opened(slapd, ca_file=str(tmp_path / "ca.pem"))
    monkeypatch.setattr(door.ldap, "OPT_X_TLS_DEMAND", ldap.OPT_X_TLS_NEVER)
    assert len(directory.read().people) == 2


def test_the_environment_cannot_switch_the_certificate_off(slapd: Slapd, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LDAPTLS_REQCERT", "never")
    write_certificates(tmp_path)
    with pytest.raises(DirectoryUnavailableError):
        opened(slapd, ca_file=str(tmp_path / "ca.pem")).read()


def test_a_wrong_password_reads_nothing(slapd: Slapd) -> None:
    directory = opened(slapd)
    directory._password = "guessed"
    with pytest.raises(DirectoryUnavailableError, match="bind_dn") as raised:
        directory.read()
    assert raised.value.reason == "not-let-in"


def test_nobody_is_read_without_a_bind_where_that_is_not_allowed(slapd: Slapd) -> None:
    with pytest.raises(DirectoryUnavailableError):
        opened(slapd, bind_dn="").read()


def test_a_server_that_is_down_is_said_and_the_next_one_is_asked(slapd: Slapd) -> None:
    down = f"ldap://127.0.0.1:{free_port()}"
    with pytest.raises(DirectoryUnavailableError, match="cannot be reached") as raised:
        opened(slapd, urls=(down,)).read()
    assert raised.value.reason == "unreachable"
    assert len(opened(slapd, urls=(down, slapd.plain)).read().people) == 2


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_server_that_says_nothing_is_given_up(slapd: Slapd, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(DirectoryUnavailableError):
            opened(slapd, urls=(url,), timeout_seconds=0.5).read()
        assert time.monotonic() - started < 15


@pytest.mark.parametrize("most_bytes", [600, 1500])
def test_a_server_that_stops_answering_in_the_midst_is_given_up(slapd: Slapd, most_bytes: int) -> None:
    """A relay lets the beginning through and then nothing more."""
    with _Relay(slapd, most_bytes) as url:
        started = time.monotonic()
        with pytest.raises(DirectoryUnavailableError):
            opened(slapd, urls=(url,), timeout_seconds=1).read()
        assert time.monotonic() - started < 20


def test_more_entries_than_allowed_are_not_read_in_part(slapd: Slapd) -> None:
    with pytest.raises(DirectoryUnavailableError) as raised:
        opened(slapd, most_entries=1).read()
    assert raised.value.reason == "too-large"
    assert len(opened(slapd, most_entries=3).read().people) == 2


def test_a_servers_limit_is_no_reason_to_believe_the_part_it_gave(tmp_path: Path) -> None:
    people = [ldif_person(f"u{number}") for number in range(30)]
    with running_slapd(tmp_path / "slapd", people, sizelimit="10") as server:
        with pytest.raises(DirectoryUnavailableError) as raised:
            opened(server, page_size=5).read()
        assert raised.value.reason == "too-large"


def test_thousands_are_read_page_by_page(tmp_path: Path) -> None:
    names = [f"u{number}" for number in range(10_000)]
    entries = [*map(ldif_person, names), ldif_group("crowd", map(person_dn, names))]
    with running_slapd(tmp_path / "slapd", entries) as server:
        snapshot = opened(server, timeout_seconds=60).read()
    assert groups_in(snapshot) == {name: {"crowd"} for name in names}


def test_a_base_or_filter_that_is_none_is_said(slapd: Slapd) -> None:
    for changes, reason in (
        ({"user_base": f"ou=nowhere,{BASE}"}, "no-such-base"),
        ({"user_filter": "(objectClass=inetOrgPerson"}, "filter-invalid"),
        ({"id_attribute": "employeeNumber"}, "unreadable"),
    ):
        with pytest.raises(DirectoryUnavailableError) as raised:
            opened(slapd, **changes).read()
        assert raised.value.reason == reason


def test_the_rule_of_active_directory_is_not_asked_of_others(slapd: Slapd) -> None:
    """They would answer that nobody is in any group, without an error."""
    with pytest.raises(DirectoryUnavailableError, match="not Active Directory"):
        opened(slapd, members="in-chain").read()


def test_memberships_written_on_the_member_are_read(tmp_path: Path) -> None:
    with running_slapd(tmp_path / "slapd", [*map(ldif_person, ["ada", "grace"])], memberof=True) as server:
        server.put_group("payroll", person_dn("ada"))
        server.put_group("finance", group_dn("payroll"), person_dn("grace"))
        snapshot = opened(server, members="memberOf").read()
    assert groups_in(snapshot) == {"ada": {"payroll"}, "grace": {"finance"}}
    assert snapshot.nestings == {("payroll", "finance")}


def test_odd_names_are_the_same_however_they_are_written(slapd: Slapd) -> None:
    ou = f"ou=R\\2C D \\22x\\22,{PEOPLE}"
    slapd.put(ou, objectClass="organizationalUnit", ou='R, D "x"')
    odd = slapd.put_person("zoe", dn=f"cn=Zoë Ünal\\, Dr\\+,{ou}")
    written = 'CN=zoe\u0308  ünal\\2c dr\\2B , OU="R, D \\"x\\"",OU=PEOPLE,DC=HARBOUR,DC=EXAMPLE'
    slapd.put_group("odd", written)
    assert normal_dn(odd) == normal_dn(written)
    assert groups_in(opened(slapd).read())["zoe"] == {"odd"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=a,dc=x", "cn=b,dc=x"),
        ("cn=a\\,dc=x", "cn=a,dc=x"),
        ("cn=a\\2Cdc\\3Dx", "cn=a,dc=x"),
        ("cn=a+uid=b,dc=x", "cn=a,uid=b,dc=x"),
        ("cn=a", "sn=a"),
    ],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert normal_dn(one) != normal_dn(other)


def test_parts_of_one_name_in_another_order_are_one_name() -> None:
    assert normal_dn("cn=A+uid=B,dc=x") == normal_dn("UID=b + CN=a, DC=X")


def test_two_groups_of_one_name_are_not_taken_for_one(slapd: Slapd) -> None:
    slapd.put(f"ou=evil,{GROUPS}", objectClass="organizationalUnit", ou="evil")
    slapd.put_group("finance", person_dn("ada"), dn=f"cn=finance,ou=evil,{GROUPS}")
    with pytest.raises(ConflictError, match="Two groups"):
        opened(slapd).read()


@pytest.mark.parametrize(
    "name", ["*", "ada)(uid=*", "a*", "ada)(|(uid=grace", "\\2a", "ada\0", "", "(", ")", "uid=ada", person_dn("ada")]
)
def test_a_name_is_no_filter(slapd: Slapd, name: str) -> None:
    slapd.change(person_dn("ada"), "userPassword", ["her password"])
    assert opened(slapd).verify(name, "her password") == ""
    assert opened(slapd).verify("ada", "her password") != ""


def test_a_name_put_into_the_filter_as_it_is_would_be_noticed(slapd: Slapd, monkeypatch: Any) -> None:
    """Negative control of the one above."""
    slapd.change(person_dn("ada"), "userPassword", ["her password"])
    monkeypatch.setattr(door.ldap.filter, "escape_filter_chars", lambda name: name)
    assert opened(slapd).verify("a*", "her password") != ""


def test_no_password_signs_nobody_in(slapd: Slapd) -> None:
    slapd.change(person_dn("ada"), "userPassword", ["her password"])
    directory = opened(slapd)
    for password in ("", "\0", "wrong", "her password\0"):
        assert directory.verify("ada", password) == ""


def test_ranges_are_put_together_or_refused() -> None:
    members = [f"cn={number}".encode() for number in range(4000)]

    def server(range_: str) -> dict[str, list[bytes]]:
        first = int(range_.removeprefix("range=").partition("-")[0])
        last = "*" if first + 1500 >= len(members) else str(first + 1499)
        return {f"member;range={first}-{last}": members[first : first + 1500]}

    assert whole_range({"member": [], **server("range=0-*")}, "member", server) == members
    assert whole_range({"Member": members[:3]}, "member", server) == members[:3]
    assert whole_range({}, "member", server) == []
    for broken in (lambda _: {}, lambda _: {"member;range=1501-*": members}, lambda _: {"member;range=1500-9": []}):
        with pytest.raises(ldap.PROTOCOL_ERROR):
            whole_range(server("range=0-*"), "member", broken)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"urls": ()}, "must be set"),
        ({"urls": ("http://localhost",)}, "Write ldaps"),
        ({"urls": ("ldap://localhost/dc=x?sub",)}, "Write ldaps"),
        ({"urls": ("ldap://directory.example",), "plain": True}, "in the clear"),
        ({"ca_file": "/nowhere.pem"}, "certificates"),
        ({"password_file": "nowhere"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_right_are_said(slapd: Slapd, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        opened(slapd, **changes)


def test_a_password_file_that_others_read_is_refused(slapd: Slapd) -> None:
    opened(slapd)
    (slapd.folder / "keys" / "ldap-password").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        LdapDirectory(options_of(slapd), slapd.folder / "keys")


def test_users_and_groups_become_what_the_directory_says_in_one_epoch(world: World, slapd: Slapd) -> None:
    use(world, slapd)
    report = sync(world, dry_run=True)
    assert not report.applied
    assert report.created == ["ada", "grace"]
    assert {user.id for user in world.services.users.listed()} == {"alice", "bob", "audra", "mona", "olga"}
    assert recorded(world, "directory:read") == []
    assert msgspec.structs.replace(report, applied=True) == sync(world)
    assert groups_of(world, "ada") == {"payroll", "finance", "staff"}
    assert groups_of(world, "grace") == {"finance", "staff"}
    (read,) = recorded(world, "directory:read")
    assert (read["users"], read["groups"], read["created"], read["disabled"]) == (2, 3, 2, 0)
    assert {entry["user"] for entry in recorded(world, "user:groups-changed")} == {"ada", "grace"}
    again = sync(world)
    assert (again.created, again.added, again.nested) == ([], {}, [])
    assert len(recorded(world, "directory:read")) == 1, "nothing changed, so there is nothing to tell"


def test_a_cycle_of_groups_does_no_harm(world: World, slapd: Slapd) -> None:
    slapd.change(group_dn("payroll"), "member", [person_dn("ada"), group_dn("staff"), group_dn("payroll")])
    use(world, slapd)
    sync(world)
    assert groups_of(world, "ada") == groups_of(world, "grace") == {"payroll", "finance", "staff"}


def test_who_left_is_out_at_the_next_request_and_what_came_from_elsewhere_stays(world: World, slapd: Slapd) -> None:
    use(world, slapd)
    sync(world)
    _, key = world.services.users.create_key("ada", "test")
    presented = [f"Bearer {key}".encode()]
    assert world.services.callers.by_key(presented).principal.id == "ada"
    before = {user.id: user for user in world.services.users.listed() if user.id not in {"ada", "grace"}}
    slapd.remove(person_dn("ada"))
    assert sync(world).disabled == ["ada"]
    with pytest.raises(NotAuthenticatedError) as raised:
        world.services.callers.by_key(presented)
    assert raised.value.reason == "disabled"
    assert {entry["user"] for entry in recorded(world, "user:disabled")} == {"ada"}
    after = {user.id: user for user in world.services.users.listed() if user.id not in {"ada", "grace"}}
    assert after == before


def test_a_sync_that_forgets_who_left_is_noticed(world: World, slapd: Slapd, monkeypatch: Any) -> None:
    """Negative control of the one above."""
    real = directories.plan
    monkeypatch.setattr(directories, "plan", lambda *a, **k: nobody_left(real(*a, **k)))
    use(world, slapd)
    sync(world)
    slapd.remove(person_dn("ada"))
    sync(world)
    assert world.services.users.principal("ada").active


def nobody_left(plan: Plan) -> Plan:
    return dataclasses.replace(plan, disabled=())


def test_somebody_new_with_the_name_of_who_left_is_not_them(world: World, slapd: Slapd) -> None:
    use(world, slapd)
    sync(world)
    slapd.remove(person_dn("ada"))
    slapd.put_person("ada")
    report = sync(world)
    assert report.disabled == ["ada"]
    assert [name for name, _ in report.skipped] == ["ada"]
    assert not world.services.users.principal("ada").active
    assert sync(world).skipped == report.skipped


def test_who_comes_back_is_let_in_unless_an_operator_said_no(world: World, slapd: Slapd) -> None:
    use(world, slapd, user_filter="(&(objectClass=inetOrgPerson)(!(title=off)))")
    sync(world)
    for user in ("ada", "grace"):
        slapd.change(person_dn(user), "title", ["off"])
    assert sync(world).disabled == ["ada", "grace"]
    world.services.users.disable("grace", by="olga")
    for user in ("ada", "grace"):
        slapd.change(person_dn(user), "title", ["on"])
    assert sync(world).enabled == ["ada"]
    assert world.services.users.principal("ada").active
    assert groups_of(world, "ada") == {"payroll", "finance", "staff"}
    assert not world.services.users.principal("grace").active


def test_names_of_those_with_roles_are_nobodys_to_take(world: World, slapd: Slapd) -> None:
    for name in ("olga", "audra", "bob", "not a name"):
        slapd.put_person(name)
    slapd.put_group("everything", person_dn("olga"), person_dn("bob"))
    use(world, slapd)
    report = sync(world)
    assert report.linked == ["bob"]
    assert {name for name, _ in report.skipped} == {"olga", "audra", "not a name"}
    assert groups_of(world, "olga") == set()
    assert groups_of(world, "bob") == {"everyone", "everything"}, "what was given here stays"


def test_existing_users_are_left_alone_where_that_is_set(world: World, slapd: Slapd) -> None:
    slapd.put_person("bob")
    use(world, slapd, existing_users="leave")
    assert sync(world).linked == []


def test_many_leaving_at_once_takes_an_operators_word(world: World, slapd: Slapd) -> None:
    for number in range(8):
        slapd.put_person(f"u{number}")
    use(world, slapd)
    sync(world)
    for number in range(4):
        slapd.remove(person_dn(f"u{number}"))
    with pytest.raises(ConflictError, match="--allow-mass-removal"):
        sync(world)
    assert world.services.users.principal("u0").active
    assert recorded(world, "user:disabled") == []
    assert sync(world, dry_run=True).disabled == ["u0", "u1", "u2", "u3"]
    assert sync(world, allow_mass_removal=True).disabled == ["u0", "u1", "u2", "u3"]


def test_thousands_are_synced_and_the_next_sync_changes_nothing(world: World, tmp_path: Path) -> None:
    names = [f"u{number}" for number in range(2600)]
    entries = [*map(ldif_person, names), ldif_group("crowd", map(person_dn, names))]
    with running_slapd(tmp_path / "slapd", entries) as server:
        use(world, server, timeout_seconds=60)
        assert len(sync(world).created) == 2600
        assert sync(world).created == []
    assert groups_of(world, "u2599") == {"crowd"}


def test_nothing_changes_that_the_trail_does_not_take(world: World, slapd: Slapd) -> None:
    use(world, slapd)
    sync(world)
    slapd.remove(person_dn("ada"))
    world.services.trail.close()
    with pytest.raises(Exception, match="trail"):
        sync(world)
    assert world.services.users.principal("ada").active


def aged(world: World, **age: float) -> None:
    """Have the last good read be so long ago."""
    with writing(world.services.database) as session:
        row = session.get_one(DirectoryRow, Origin.LDAP)
        assert row.read_at
        row.read_at -= timedelta(**age)
        row.tried_at -= timedelta(**age)
        session.add(row)
        session.commit()


def test_a_directory_that_is_lost_for_long_denies_its_users_and_no_others(
    world: World, slapd: Slapd, caplog: pytest.LogCaptureFixture
) -> None:
    use(world, slapd, max_age_minutes=30)
    sync(world)
    _, key = world.services.users.create_key("ada", "test")
    presented = [f"Bearer {key}".encode()]
    aged(world, minutes=29)
    assert world.services.callers.by_key(presented)
    working, services = world.services.ldap, world.services
    services.ldap = opened(slapd, urls=(f"ldap://127.0.0.1:{free_port()}",))  # type: ignore[misc]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(DirectoryUnavailableError):
                sync(world)
    assert caplog.text.count("directory_lost") == 1
    assert len(recorded(world, "directory:failed")) == 1
    assert services.directories.state().problem.startswith("unreachable")
    assert services.callers.by_key(presented), "a failed read alone takes nothing away"
    aged(world, minutes=2)
    with pytest.raises(NotAuthenticatedError) as raised:
        services.callers.by_key(presented)
    assert raised.value.reason == "directory-lost"
    assert services.directories.state().lost
    assert not services.users.principal("ada").active
    assert services.callers.by_key([f"Bearer {world.keys['bob']}".encode()]).principal.id == "bob"
    services.ldap = working  # type: ignore[misc]
    with caplog.at_level(logging.WARNING):
        sync(world)
    assert "directory_back" in caplog.text
    assert services.callers.by_key(presented).principal.id == "ada"


async def test_serving_reads_the_directory_by_itself_and_again_when_it_is_time(
    world: World, slapd: Slapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.DIRECTORY_LOOK_SECONDS", 0.05)
    use(world, slapd, every_minutes=1)
    app = create_app(world.services)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]

    async def there(user: str) -> bool:
        return any(known.id == user and known.active for known in world.services.users.listed())

    async def measured(line: str) -> bool:
        metrics = await client.get("/metrics", headers=world.headers("mona"))
        return line in metrics.text

    async with running(app), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400") as client:
        await eventually(lambda: there("ada"))
        assert await measured("muniment_directory_lost 0.0")
        slapd.put_person("new")
        await asyncio.sleep(0.3)
        assert not await there("new"), "it is not time yet"
        aged(world, minutes=2)
        await eventually(lambda: there("new"))
        world.services.ldap = opened(slapd, urls=(f"ldap://127.0.0.1:{free_port()}",))  # type: ignore[misc]
        aged(world, minutes=130)
        await eventually(lambda: measured("muniment_directory_failing 1.0"))
        assert await measured("muniment_directory_lost 1.0")
        assert not await there("ada")


def test_a_directory_that_was_never_read_or_is_read_in_the_future_denies(world: World, slapd: Slapd) -> None:
    use(world, slapd)
    sync(world)
    aged(world, minutes=-90)
    assert not world.services.users.principal("ada").active, "a read that lies ahead is none"
    aged(world, minutes=90)
    assert world.services.users.principal("ada").active
    with writing(world.services.database) as session:
        session.delete(session.get_one(DirectoryRow, Origin.LDAP))
        session.commit()
    assert not world.services.users.principal("ada").active


def test_a_clock_set_back_before_the_start_does_not_make_an_old_read_young(world: World, slapd: Slapd) -> None:
    """The last try, which failed, lies ahead of a clock that was set back: so much time has passed at least."""
    use(world, slapd, max_age_minutes=30)
    sync(world)
    with writing(world.services.database) as session:
        row = session.get_one(DirectoryRow, Origin.LDAP)
        row.tried_at += timedelta(minutes=31)
        session.add(row)
        session.commit()
    assert not world.services.users.principal("ada").active


def test_people_sign_in_with_the_directorys_password(world: World, slapd: Slapd) -> None:
    slapd.change(person_dn("ada"), "userPassword", ["her password"])
    use(world, slapd, sign_in=True)
    sync(world)
    sign_in = world.services.password_sign_in
    principal, session = sign_in.sign_in("ada", "her password")
    assert (principal.id, session.method) == ("ada", "ldap")
    for word in ("", "wrong"):
        with pytest.raises(NotAuthenticatedError, match="not right"):
            sign_in.sign_in("ada", word)
    slapd.change(person_dn("ada"), "userPassword", ["another one"])
    with pytest.raises(NotAuthenticatedError):
        sign_in.sign_in("ada", "her password")
    for _ in range(3):
        with pytest.raises(NotAuthenticatedError):
            sign_in.sign_in("ada", "wrong")
    with pytest.raises(NotAuthenticatedError) as raised:
        sign_in.sign_in("ada", "another one")
    assert raised.value.reason == "locked"


def test_the_directorys_password_is_nobody_elses(world: World, slapd: Slapd) -> None:
    """Somebody in the directory with a local user's name that was left alone is not that user."""
    slapd.put_person("olga", "mine now")
    use(world, slapd, sign_in=True)
    sync(world)
    with pytest.raises(NotAuthenticatedError):
        world.services.password_sign_in.sign_in("olga", "mine now")
    assert world.services.password_sign_in.sign_in("olga", "harpoon violet dusk 9")[0].roles == {Role.OPERATOR}


def test_memberships_of_other_origins_survive_a_sync(world: World, slapd: Slapd) -> None:
    use(world, slapd)
    sync(world)
    with writing(world.services.database) as session:
        write_groups(session, "ada", {"chosen"}, Origin.SCIM)
        session.commit()
    slapd.change(group_dn("payroll"), "member", [person_dn("grace")])
    sync(world)
    assert groups_of(world, "ada") == {"chosen"}


class _Relay:
    """Passes so many bytes of the server's on, and then none."""

    def __init__(self, server: Slapd, most_bytes: int) -> None:
        self._port = int(server.plain.rpartition(":")[2])
        self._left = most_bytes
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    def __enter__(self) -> str:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"ldap://127.0.0.1:{self._listening.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        for one in [self._listening, *self._open]:
            one.close()

    def _serve(self) -> None:
        try:
            client, _ = self._listening.accept()
            server = socket.create_connection(("127.0.0.1", self._port))
            self._open += [client, server]
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
            while self._left > 0 and (some := server.recv(512)):
                client.sendall(some[: self._left])
                self._left -= len(some)
        except OSError:
            return

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while some := one.recv(4096):
                other.sendall(some)
        except OSError:
            return


def test_an_address_that_nothing_connects_to_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    certificates = tmp_path / "certificates.pem"
    certificates.touch()
    urls = ("ldaps://[::ffff:169.254.169.254]", "ldaps://127.0.0.1:1")
    options = LdapOptions(urls=urls, user_base="dc=harbour,dc=example", ca_file=str(certificates))
    with pytest.raises(DirectoryUnavailableError, match="nothing connects to") as raised:
        LdapDirectory(options, tmp_path).read()
    assert raised.value.reason == "never-connected"
