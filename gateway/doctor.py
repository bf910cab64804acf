"""`muniment doctor`: looks at every part of an installation and says what to fix.

Each check is a function that gives a finding; an error of ours that a part raises is the finding of that part, since
its text already says what to do. Nothing is changed, apart from what opening the database and the trail always does.
"""

import asyncio
import contextlib
import os
import platform
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path

import msgspec

from gateway.audit.places import copied_to_files, export_states, newest_kept, stamp_states
from gateway.config import Config, is_loopback
from gateway.errors import DatabaseUnusableError, translate
from gateway.ledger import Step
from gateway.models.promoting import trial_state
from gateway.services import Services, require_part
from models.errors import EngineUnavailableError, ModelsError
from models.openai.engine import UpstreamEngine
from models.openai.options import Upstream
from policies.audit.events import SubjectErased
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.sinks.options import Export, FileSink, HttpSink, Sink
from policies.audit.verifier import verify
from policies.egress import host_of, is_never_connected
from policies.principals import SEPARATE_ROLES
from policies.rules import Origin, words_of_context
from policies.sqlite import lacks_room

_LITTLE_DISK_BYTES = 2 * 10**9
"""Below this a sync of some ten thousand documents or a pulled model may not fit."""
_NO_DISK_BYTES = 200 * 10**6
"""Below this even the trail may soon not be written, and nothing is answered then."""


_KEEP_CHECKPOINTS = "Set audit.checkpoint_file to a file on another machine or volume, so that a cut trail is noticed."
_HELD_ELSEWHERE = "whoever keeps its checkpoints can check its end with --checkpoint"
_COPIES_SECONDS = 15.0
_MANY_BEHIND = 1000
"""Entries that another system may lack without a word: they are sent when the service runs again."""


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True):
    """What was looked at, how it is, and what to do; `fix` is empty when there is nothing to do."""

    name: str
    level: Level
    detail: str
    fix: str = ""


Finding = tuple[Level, str, str]
"""Level, detail and fix."""


def examine(services: Services, *, deep: bool = False) -> Iterator[Check]:
    """Check an installation part by part; `deep` also starts the language model, which takes seconds."""
    for name, look in _CHECKS if not deep else (*_CHECKS, ("engine", _engine)):
        yield from _checked(name, look, services)
        if name == "settings" and "config" not in vars(services):
            return  # Everything further stands on the settings.


def _checked(
    name: str, look: "Callable[[Services], Finding | Iterator[Finding]]", services: Services
) -> Iterator[Check]:
    try:
        found = look(services)
        for level, detail, fix in [found] if isinstance(found, tuple) else found:
            yield Check(name, level, detail, fix)
    except Exception as error:  # noqa: BLE001 - a part that fails in any way is a finding, and the others are still looked at
        known = translate(error) is not None
        detail = str(error) if known else f"It could not be looked at: {type(error).__name__}"
        yield Check(name, Level.FAIL, detail, "" if known else "Report this, with MUNIMENT_TRACEBACK=1 set.")


def _ok(detail: str) -> Finding:
    return Level.OK, detail, ""


def _python(_: Services) -> Finding:
    return _ok(
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )


def _home(services: Services) -> Finding:
    status = services.home.folder.stat()
    if status.st_mode & 0o077:
        fix = f"chmod 700 {services.home}"
        return Level.FAIL, f"Others can enter {services.home} (mode {stat.S_IMODE(status.st_mode):o})", fix
    if status.st_uid != os.getuid():
        return Level.WARN, f"{services.home} belongs to another user", "Run Muniment as the user that owns its home."
    return _ok(f"{services.home}, only its owner can enter")


def _disk(services: Services) -> Finding:
    free = shutil.disk_usage(services.home.folder).free
    detail = f"{free / 1e9:.1f} GB free at {services.home}"
    if free < _NO_DISK_BYTES:
        return Level.FAIL, detail, "Free some space: without room for the trail nothing is answered."
    if free < _LITTLE_DISK_BYTES:
        return Level.WARN, detail, "Free some space before the next sync or pull."
    return _ok(detail)


def _settings(services: Services) -> Finding:
    _ = (services.config, services.site_redaction)
    return _ok(f"{services.home.config_file} is valid")


def _keys(services: Services) -> Finding:
    _ = services.keys.key_id()  # Asks the signer, where one has the key.
    return _ok("Present, and only their owner can read them")


def _database(services: Services) -> Finding:
    """Whole according to SQLite, and of this version (opening it migrates it)."""
    path = services.home.database
    require_part(path, "database", DatabaseUnusableError)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
        except sqlite3.DatabaseError as error:
            if lacks_room(error):
                fix = "Free some space, or mend the disk; nothing needs to be restored so far."
                return Level.FAIL, f"{path} cannot be read: its disk is full or fails", fix
            problems = [str(error)]
    if problems != ["ok"]:
        detail = f"{path} is damaged: {'; '.join(problems)}"
        return (
            Level.FAIL,
            detail,
            "Restore it from a backup, or move it away and sync again. The trail is another file.",
        )
    _ = services.database
    return _ok(f"Whole, {path.stat().st_size / 1e6:.1f} MB, of this version")


def _policies(services: Services) -> Iterator[Finding]:
    """Whether the rules that were loaded are the rules that decide."""
    health = services.authorizer.health
    if health.problem:
        fix = "Correct them and run `muniment policy load FOLDER`, or `muniment policy rollback`."
        yield Level.FAIL, f"The loaded policies cannot be used; {health.revision[:12]} decides. {health.problem}", fix
        return
    rules = services.authorizer.latest().rules
    own = sum(rule.origin is Origin.SITE for rule in rules)
    yield _ok(f"{len(rules)} rules decide, {own} of them your own; revision {health.revision[:12]}")
    known = services.networks.names
    for rule in rules:
        words, _ = words_of_context(rule.body)
        for network in sorted(word for field, word in words if field == "network" and word not in known):
            detail = f"Rule {rule.id} asks for the network {network}, which the settings do not name"
            yield Level.WARN, detail, "Name it under [networks], or correct the rule."


def _models(services: Services) -> Iterator[Finding]:
    for id_ in services.config.models.in_use:
        try:
            services.models.verify(id_)
        except ModelsError as error:
            yield Level.FAIL, str(error), ""
        else:
            yield _ok(f"{id_} is here, byte for byte as published")


def _trial(services: Services) -> Iterator[Finding]:
    """The model on trial, and an embedder in the settings that is not the one in use."""
    state, tried = trial_state(services), services.config.models.trial.model
    if state.startswith("given up"):
        fix = "Take it out of [models.trial], or change that to try it again."
        yield Level.WARN, f"The trial of {tried} was {state}", fix
    elif state:
        yield _ok(f"{tried} is on trial: {state}")
    used, named = services.embedder_use.current, services.config.models.embedder
    if used != named:
        detail = f"The settings name the embedder {named}, and documents are embedded with {used}, which is used"
        yield Level.WARN, detail, f"muniment models promote {named}, or set models.embedder to {used}"


def _upstreams(services: Services) -> Iterator[Finding]:
    """Whether the servers of models that are not run here answer; they are called for that, without a question."""
    for upstream in services.config.models.upstreams:
        services.generator_named(upstream.name)
        yield asyncio.run(_servers_of(upstream, services.home.keys))


async def _servers_of(upstream: Upstream, keys: Path) -> Finding:
    engine = UpstreamEngine(upstream, keys)
    try:
        await engine.start()
        health = await engine.health()
    except EngineUnavailableError as error:
        return Level.FAIL, str(error), "See that its servers run, and that the settings name them as they are."
    finally:
        await engine.stop()
    where = "remote" if upstream.remote else "on this machine"
    if health.detail:
        detail = f"{upstream.name} ({where}) does not answer on all of its servers: {health.detail}"
        return Level.WARN, detail, "See that they run."
    return _ok(f"{upstream.name} ({where}) answers on {len(upstream.urls)} servers")


def _index(services: Services) -> Finding:
    files = services.index_files
    if not files.manifest.exists():
        return _ok("No file kept; the next start makes the index from the database")
    if not files.is_authentic():
        detail = f"{services.home.index} is damaged or was made under another key, and is not used"
        return Level.WARN, detail, "muniment index rebuild"
    return _ok(f"{files.size_bytes() / 1e6:.1f} MB, made under this installation's key")


def _users(services: Services) -> Iterator[Finding]:
    users = services.users.listed()
    if not any(user.active for user in users):
        yield Level.WARN, "There is no active user", "muniment users add --from FILE"
    else:
        yield _ok(f"{sum(user.active for user in users)} active of {len(users)}")
    for user in users:
        if user.active and user.roles >= SEPARATE_ROLES:  # From before these roles excluded each other.
            fix = f"muniment users add {user.id} with one of the two roles, and with their groups"
            yield Level.FAIL, f"{user.id} is both auditor and operator (NIST SP 800-53, AU-9(4))", fix


def _sign_in(services: Services) -> Finding:
    options = services.config.oidc
    by_password = "with passwords" if services.config.sign_in.passwords else "without passwords"
    if not options.issuer:
        return _ok(f"People sign in {by_password}; single sign-on is not set up")
    _ = services.single_sign_on
    return _ok(f"People sign in through {options.issuer}, and {by_password}; the provider was not called")


def _groups(services: Services) -> Finding:
    """Whether anybody is denied because of their groups; `users` counts the disabled ones."""
    denied = [known.principal.id for known in services.users.known() if known.refused == "too-many-groups"]
    if denied:
        shown = f"{', '.join(denied[:5])}{' and others' if len(denied) > 5 else ''}"  # noqa: PLR2004 - enough to begin with
        detail = f"{len(denied)} users are in more groups than can be decided on, and are denied everything: {shown}"
        return Level.FAIL, detail, "muniment groups list shows which groups are in too many others."
    return _ok(f"{len(services.groups.listed())} groups")


def _directory(services: Services) -> Iterator[Finding]:
    """When the directory was read, and whether that is too long ago."""
    state = services.directories.state()
    if not services.config.ldap.urls and not state.users:
        yield _ok("No directory is set up")
    elif state.lost and state.users:
        detail = f"The directory was not read since {state.read_at}, so its {state.users} users are denied: "
        yield Level.FAIL, detail + (state.problem or "nothing reads it"), "muniment directory sync"
    elif state.problem:
        yield Level.WARN, f"The directory could not be read: {state.problem}", "muniment directory sync"
    elif state.read_at is None:
        yield Level.WARN, "The directory has not been read yet", "muniment directory sync"
    else:
        yield _ok(f"Read at {state.read_at:%Y-%m-%d %H:%M} UTC, {state.users} users")


def _sources(services: Services) -> Iterator[Finding]:
    sources = services.sources
    listed = sources.listed()
    if not listed:
        yield (
            Level.WARN,
            "There is no source",
            "muniment sources add NAME --type folder --set path=FOLDER --access FILE",
        )
    for source in listed:
        yield _source(services, source.name, source.documents, source.skipped, read=source.synced_at is not None)


def _source(services: Services, name: str, documents: int, skipped: int, *, read: bool) -> Finding:
    try:
        services.sources.check(name)
    except Exception as error:
        if translate(error) is None:
            raise
        return Level.FAIL, f"{name}: {error}", f"Mend the cause, then: muniment sync {name}"
    if not read:
        return Level.WARN, f"{name} can be reached and has not been read yet", f"muniment sync {name}"
    if skipped:
        return (
            Level.WARN,
            f"{name}: {documents} documents, {skipped} could not be read",
            f"muniment sources skipped {name}",
        )
    return _ok(f"{name} can be reached, {documents} documents")


def _trail(services: Services) -> Finding:
    place = services.trail_place
    if isinstance(place, Path) and not place.exists():
        return (Level.FAIL, f"There is no trail at {place}, so its proof is gone", "Restore it from a backup.")
    health = services.trail.health
    if not health.ready:
        return (
            Level.FAIL,
            health.detail,
            "Check its disk and owner, or its server; nothing is answered until it is mended.",
        )
    services.copies.settle(_COPIES_SECONDS)  # A place that lacks the newest checkpoint is given it by now, or says why.
    kept_in = copied_to_files(services.config.audit, services.home)
    try:
        kept = newest_kept(kept_in)
    except OSError as error:
        return (
            Level.FAIL,
            f"The checkpoints {error.filename} cannot be read: {error.strerror}",
            "Restore the file, or its volume.",
        )
    report = verify(place, services.keys.public_key_pem(), kept)
    if not report.ok:
        detail = f"The trail is not what was written: {report.findings[0].detail}"
        return Level.FAIL, detail, "muniment audit verify"
    if kept is None:
        return _without_a_copy(report.entries, kept_in, elsewhere=bool(services.config.audit.copies))
    return _ok(f"{report.entries} entries, all as written up to the checkpoint of {kept.checkpoint.at}")


def _erasures(services: Services) -> Iterator[Finding]:
    """Whether everybody who was to be erased is gone."""
    unfinished, lines = services.ledger.unfinished(), services.ledger.lines()
    newest = read_entries(services.trail_place, EntryQuery(kind=SubjectErased.kind, limit=1))
    if newest and newest[0].event["ledger"] > len(lines):
        detail = f"The trail tells of erasure {newest[0].event['ledger']}, and the ledger ends at {len(lines)}"
        yield Level.FAIL, detail, f"Restore {services.home.erasures}: without it the erased come back with a backup."
    elif unfinished:
        tokens = ", ".join(line.token for line in unfinished)
        detail = f"{len(unfinished)} erasures were begun and not completed: {tokens}"
        yield Level.FAIL, detail, "muniment erase --resume"
    else:
        done = sum(line.step is Step.DONE for line in lines)
        yield _ok(f"{done} erasures in the ledger, all of them completed")


def _copies(services: Services) -> Iterator[Finding]:
    """Which places have the newest checkpoint, now that each was given it."""
    _ = services.trail
    services.copies.settle(_COPIES_SECONDS)
    for health in services.copies.health:
        if health.behind_since:
            detail = f"{health.name} lacks a checkpoint of {health.behind_since:%Y-%m-%d %H:%M:%S} UTC: {health.detail}"
            yield Level.FAIL, detail.rstrip(": "), "Mend the cause; what it lacks is sent again by itself."
        elif health.detail:
            yield Level.FAIL, health.detail, "muniment audit verify"
        else:
            yield _ok(f"{health.name} has the newest checkpoint")


def _exports(services: Services) -> Iterator[Finding]:
    """How far other systems have entries; they are sent while the service runs."""
    for state in export_states(services.config.audit, services.home):
        if state.error:
            detail = f"{state.name} lacks {state.behind} entries since {state.failing_since:%Y-%m-%d %H:%M:%S} UTC: "
            yield Level.FAIL, detail + state.error, "Mend the cause; what it lacks is sent again by itself."
        elif state.behind > _MANY_BEHIND:
            last = f"was last sent some at {state.sent_at:%Y-%m-%d %H:%M:%S} UTC" if state.sent_at else "was sent none"
            yield Level.WARN, f"{state.name} lacks {state.behind} entries and {last}", "See that `muniment serve` runs."
        else:
            yield _ok(f"{state.name} has the entries up to {state.entry}")


def _stamps(services: Services) -> Iterator[Finding]:
    """Whether the newest time stamp holds; the authority is asked while the service runs."""
    url = services.config.audit.stamp_url
    states = stamp_states(services.config.audit, services.home)
    if not states and url:
        yield Level.WARN, f"{url} has stamped no checkpoint so far", "See that `muniment serve` runs and reaches it."
    elif states and states[-1].at is None:
        detail = f"The stamp of checkpoint {states[-1].checkpoint} does not count: {states[-1].problem}"
        yield Level.FAIL, detail, "muniment audit stamps"
    elif states:
        newest = states[-1]
        yield _ok(f"The entries up to {newest.entries} existed at {newest.at:%Y-%m-%d %H:%M:%S} UTC, says their stamp")


def _without_a_copy(entries: int, kept_in: Sequence[Path], *, elsewhere: bool) -> Finding:
    """A sound trail whose end nothing here vouches for: no place for that was named, or it holds nothing yet."""
    if elsewhere:
        return _ok(f"{entries} entries hang together; {_HELD_ELSEWHERE}")
    if kept_in:
        detail = f"{entries} entries hang together, and no checkpoint has been copied to {kept_in[0]} so far"
        return Level.WARN, detail, f"See that {kept_in[0].parent} is there and can be written."
    return Level.WARN, f"{entries} entries hang together, and no checkpoint is kept elsewhere", _KEEP_CHECKPOINTS


def _egress(services: Services) -> Iterator[Finding]:
    """What connects anywhere, and who can connect to us."""
    config = services.config
    for what, addresses in destinations(config):
        yield _ok(f"{what} connects to {', '.join(addresses)}")
        for address in addresses:
            yield from _refused(address)
    yield _ok("Nothing else connects anywhere")
    if not is_loopback(config.server.host):
        detail = f"The gateway listens on {config.server.host}, without encryption"
        yield Level.WARN, detail, "Put TLS in front, or set server.host to 127.0.0.1."
    else:
        yield _ok(f"The gateway listens on this machine only ({config.server.host})")


def destinations(config: Config) -> Iterator[tuple[str, list[str]]]:
    """What connects, and where to, as the settings name it."""
    mirror = config.models.mirror or "the sources that models/catalogue.toml names"
    yield "`muniment models pull`", [mirror, *config.models.hosts]
    if config.models.mlflow_url:
        yield "Logging evaluations", [config.models.mlflow_url]
    for upstream in config.models.upstreams:
        yield f"The model {upstream.name}", list(upstream.urls)
    if config.oidc.issuer:
        yield "Signing in", [config.oidc.issuer, *config.oidc.hosts]
    if config.ldap.urls:
        yield "Reading the directory", list(config.ldap.urls)
    if config.audit.database:
        yield "The audit trail", [config.audit.database]
    if copies := _addresses(config.audit.copies):
        yield "Copying checkpoints", copies
    if exports := _addresses(config.audit.exports):
        yield "Sending entries of the trail", exports
    if config.audit.stamp_url:
        yield "Time stamps of checkpoints", [config.audit.stamp_url]


def _addresses(places: Sequence[Sink | Export]) -> list[str]:
    """Where places of the trail are, those on this machine aside."""
    found = [
        place.url if isinstance(place, HttpSink) else place.host for place in places if not isinstance(place, FileSink)
    ]
    return list(dict.fromkeys(found))


def _refused(address: str) -> Iterator[Finding]:
    """A host that is named and will be refused. Addresses alone are looked at: asking for a name would connect."""
    host = host_of(address) if "://" in address else address
    with contextlib.suppress(ValueError):
        if is_never_connected(host):
            yield Level.FAIL, f"{address} is where nothing connects to", "Name another host."


def _engine(services: Services) -> Finding:
    async def start_and_ask() -> Finding:
        engine = services.engine
        try:
            await engine.start()
            health = await engine.health()
        finally:
            await engine.stop()
        return _ok(f"{health.model} loads, context {health.context_tokens} tokens")

    return asyncio.run(start_and_ask())


_CHECKS: tuple[tuple[str, Callable[[Services], Finding | Iterator[Finding]]], ...] = (
    ("python", _python),
    ("settings", _settings),
    ("home", _home),
    ("disk", _disk),
    ("keys", _keys),
    ("database", _database),
    ("policies", _policies),
    ("trail", _trail),
    ("copies", _copies),
    ("erasures", _erasures),
    ("exports", _exports),
    ("stamps", _stamps),
    ("models", _models),
    ("trial", _trial),
    ("upstreams", _upstreams),
    ("index", _index),
    ("sources", _sources),
    ("users", _users),
    ("sign-in", _sign_in),
    ("groups", _groups),
    ("directory", _directory),
    ("network", _egress),
)
