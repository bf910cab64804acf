"""What a trail in PostgreSQL consists of: the statements that make it, and how to tell that it is what they made.

A DBA runs the statements once. The role that writes may add rows and read them, and nothing else; only the owner may
take out what entries say. The triggers stop the owner's accidents. What entries are searched by is computed from their
bodies, as in SQLite, so it cannot disagree.
"""

import hashlib
import re
from collections.abc import Iterable

OWNER, WRITER = "muniment_audit_owner", "muniment_audit_writer"
"""The roles, unless a DBA names others."""

_NAME = re.compile("[a-z_][a-z0-9_]{0,62}")
_TABLES = ("log", "entries", "checkpoints", "writers")
_KEPT = ("id", "writer", "seq", "previous", "hash")
"""What an entry keeps when what it says is removed."""

# PostgreSQL has no place in its texts for U+0000 and halves of pairs, which JSON may hold as escapes. Each becomes
# U+FFFD in what is searched. Escaped backslashes are written otherwise first, so that each `\u` left is an escape.
_SPOKEN = r"""
SELECT CASE
    WHEN body IS NULL OR strpos(body, '\u') = 0 THEN body::jsonb
    ELSE regexp_replace(
        replace(body, '\\', '\u005c'),
        '\\u0000|\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}',
        '\ufffd', 'g')::jsonb
END
"""

_ENTRIES = """CREATE TABLE {schema}.entries (
    id bigint PRIMARY KEY,
    writer text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    previous bytea NOT NULL UNIQUE,
    hash bytea NOT NULL,
    body text COLLATE "C",
    at text COLLATE "C" GENERATED ALWAYS AS ({schema}.spoken(body) ->> 'at') STORED,
    kind text COLLATE "C" GENERATED ALWAYS AS ({schema}.spoken(body) ->> 'kind') STORED,
    request text COLLATE "C" GENERATED ALWAYS AS ({schema}.spoken(body) #>> '{{event,request}}') STORED,
    actor text COLLATE "C" GENERATED ALWAYS AS (
        coalesce({schema}.spoken(body) #>> '{{event,principal}}', {schema}.spoken(body) #>> '{{event,by}}')) STORED,
    subject text COLLATE "C" GENERATED ALWAYS AS ({schema}.spoken(body) #>> '{{event,user}}') STORED,
    UNIQUE (writer, seq)
)"""


def statements(log: str, schema: str, owner: str = OWNER, writer: str = WRITER) -> list[str]:
    """What makes a trail named `log`, for a role that may make roles and schemas.

    Raises:
        ValueError: A name is not written in small letters, digits and underscores.
    """
    for name in (schema, owner, writer):
        if not _NAME.fullmatch(name):
            message = f"{name} is no name for a role or schema: use small letters, digits and underscores"
            raise ValueError(message)
    kept = " AND ".join(["new.body IS NULL", *(f"new.{name} = old.{name}" for name in _KEPT)])
    return [
        *(_role(name) for name in (owner, writer)),
        f"CREATE SCHEMA {schema}",
        f"""CREATE FUNCTION {schema}.spoken(body text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $${_SPOKEN}$$""",
        f"""CREATE FUNCTION {schema}.refuse() RETURNS trigger
LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'the audit trail only grows'; END$$""",
        f"""CREATE TABLE {schema}.log (
    place integer PRIMARY KEY CHECK (place = 1),
    id text COLLATE "C" NOT NULL
)""",
        _ENTRIES.format(schema=schema),
        f"""CREATE TABLE {schema}.checkpoints (
    number bigint PRIMARY KEY,
    body text COLLATE "C" NOT NULL,
    signature bytea NOT NULL
)""",
        f"""CREATE TABLE {schema}.writers (
    writer text COLLATE "C" NOT NULL,
    settled boolean NOT NULL,
    PRIMARY KEY (writer, settled)
)""",
        *(
            f"CREATE INDEX entries_{column} ON {schema}.entries ({column})"
            for column in ("at", "kind", "request", "actor")
        ),
        f"CREATE INDEX entries_subject ON {schema}.entries (subject) WHERE subject IS NOT NULL",
        f"INSERT INTO {schema}.log VALUES (1, '{log}')",  # noqa: S608 - names as above, and digits
        *(_refusal(schema, table, "DELETE") for table in _TABLES),
        *(_refusal(schema, table, "TRUNCATE") for table in _TABLES),
        *(_refusal(schema, table, "UPDATE") for table in _TABLES if table != "entries"),
        _refusal(schema, "entries", "UPDATE", unless=kept),
        f"GRANT USAGE ON SCHEMA {schema} TO {writer}",
        f"GRANT SELECT ON {', '.join(f'{schema}.{table}' for table in _TABLES)} TO {writer}",
        f"GRANT INSERT (id, writer, seq, previous, hash, body) ON {schema}.entries TO {writer}",
        f"GRANT INSERT ON {schema}.checkpoints, {schema}.writers TO {writer}",
        *(f"ALTER TABLE {schema}.{table} OWNER TO {owner}" for table in _TABLES),
        *(f"ALTER FUNCTION {schema}.{function} OWNER TO {owner}" for function in ("spoken(text)", "refuse()")),
        f"ALTER SCHEMA {schema} OWNER TO {owner}",
    ]


def _role(name: str) -> str:
    """Makes a role that may log in once it has been given a password, unless it is there."""
    return f"""DO $$BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{name}') THEN CREATE ROLE {name} LOGIN; END IF;
END$$"""


def _refusal(schema: str, table: str, verb: str, unless: str = "") -> str:
    """A trigger that refuses to change or remove what a table holds."""
    each = "STATEMENT" if verb == "TRUNCATE" else "ROW"
    when = f" WHEN (NOT ({unless}))" if unless else ""
    return (
        f"CREATE TRIGGER no_{verb.lower()} BEFORE {verb} ON {schema}.{table} "
        f"FOR EACH {each}{when} EXECUTE FUNCTION {schema}.refuse()"
    )


DEFINITION = """
WITH ours AS (
    SELECT * FROM pg_class WHERE relnamespace = :schema::text::regnamespace AND relkind NOT IN ('i', 'I', 't'))
SELECT 'relation ' || concat_ws(' ', relname, relkind, relpersistence, relrowsecurity, relforcerowsecurity,
        relispartition, relhasrules, relhassubclass) FROM ours
UNION ALL
SELECT 'column ' || concat_ws(' ', relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attgenerated,
        attisdropped, collname, pg_get_expr(adbin, adrelid))
    FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    LEFT JOIN pg_collation ON pg_collation.oid = attcollation
UNION ALL
SELECT 'constraint ' || concat_ws(' ', relname, contype, pg_get_constraintdef(pg_constraint.oid), convalidated)
    FROM ours JOIN pg_constraint ON conrelid = ours.oid WHERE contype <> 'n'
UNION ALL
SELECT 'index ' || concat_ws(' ', ours.relname, replace(pg_get_indexdef(indexrelid), quote_ident(:schema) || '.', ''),
        indisvalid, indisready, indislive) FROM ours JOIN pg_index ON indrelid = ours.oid
UNION ALL
SELECT 'trigger ' || concat_ws(' ', relname,
        replace(pg_get_triggerdef(pg_trigger.oid), quote_ident(:schema) || '.', ''), tgenabled)
    FROM ours JOIN pg_trigger ON tgrelid = ours.oid WHERE NOT tgisinternal
UNION ALL
SELECT 'function ' || concat_ws(' ', proname, pg_get_function_arguments(pg_proc.oid),
        pg_get_function_result(pg_proc.oid), lanname, provolatile, prosecdef, proisstrict,
        array_to_string(proconfig, ','), prosrc)
    FROM pg_proc JOIN pg_language ON pg_language.oid = prolang WHERE pronamespace = :schema::text::regnamespace
"""
"""Asks for everything that there is in the schema `:schema`, each as a line of text."""

DISAGREEING = """
SELECT 1 FROM entries, LATERAL (SELECT spoken(body) AS said OFFSET 0) AS its
WHERE at IS DISTINCT FROM said ->> 'at' OR kind IS DISTINCT FROM said ->> 'kind'
    OR request IS DISTINCT FROM said #>> '{event,request}' OR subject IS DISTINCT FROM said #>> '{event,user}'
    OR actor IS DISTINCT FROM coalesce(said #>> '{event,principal}', said #>> '{event,by}')
LIMIT 1
"""
"""Asks for an entry that is searched by something else than it says: computed columns are stored, unlike SQLite's."""

MADE = "8af3a2ad917b99fdd3063e14223a56049f4217e5f800f62ca60aad58e3df713e"
"""SHA-256 over what `DEFINITION` gives for what `statements` makes, sorted; the same in all versions."""


def digest(lines: Iterable[str]) -> str:
    """What `MADE` is made of."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
