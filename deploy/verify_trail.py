#!/usr/bin/env python3
"""Check a trail of Muniment, or the evidence for one answer, with nothing but Python: docs/audit-format.md.

    python3 verify_trail.py trail  AUDIT.DB  --key PUBLIC.PEM [--checkpoints KEPT.JSONL]
    python3 verify_trail.py answer EVIDENCE.JSON --key PUBLIC.PEM [--text ANSWER.TXT]

Prints what is wrong and ends with 1, or says what holds and ends with 0. It shares no code with the product.
"""

import argparse
import base64
import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # Ed25519: RFC 8032, section 5.1.
D = -121665 * pow(121666, -1, P) % P
CHECKPOINT, RECEIPT = b"muniment-checkpoint-3\n", b"muniment-receipt-1\n"
# SHA-256 of the sorted statements that make the file's tables.
TABLES = "c83a5d568e1bfb5ab597bc726849492a6704a9c41150d431fa10a6537a63c5a1"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def add(one, two):
    (a, b), (c, d) = one, two
    e = D * a * b * c * d
    return (a * d + b * c) * pow(1 + e, -1, P) % P, (a * c + b * d) * pow(1 - e, -1, P) % P


def times(number, point):
    rest = times(number // 2, add(point, point)) if number > 1 else (0, 1)
    return add(rest, point) if number % 2 else rest


def point_of(key):
    sign, y = divmod(int.from_bytes(key, "little"), 2**255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    return (x if x % 2 == sign else P - x), y


BASE = point_of((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def is_signed(message, signature, key):
    s, (x, y) = int.from_bytes(signature[32:], "little"), point_of(key)
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % Q
    x, y = add(times(s, BASE), times(h, (P - x, y)))  # sB - hA, which must be the point that the signature begins with.
    return len(signature) == 64 and s < Q and (y + x % 2 * 2**255).to_bytes(32, "little") == signature[:32]


def read_keys(path):
    keys = [base64.b64decode(block)[12:] for block in path.read_text().split("-----")[2::4]]
    if not keys or any(len(key) != 32 for key in keys):
        raise ValueError(f"{path} holds no Ed25519 public key in PEM form")
    return keys


def followed(keys, points):
    """The keys, and those that they hand over to: a checkpoint may name the key that signs all after it."""
    for point, signature in points:
        if point["next_key"] and is_signed(CHECKPOINT + canonical(point), signature, keys[-1]):
            keys = [*keys, bytes.fromhex(point["next_key"])]
    return keys


def tree_root(hashes):
    if len(hashes) < 2:
        return sha256(*(b"\0" + hash_ for hash_ in hashes))
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\1", tree_root(hashes[:half]), tree_root(hashes[half:]))


def path_root(leaf, place, size, path):
    """The root of a tree of this size in which the leaf has this path, from its definition: halves within halves."""
    if size == 1 or not path:
        return sha256(b"\0", leaf) if size == 1 and not path else b""
    half = 1 << (size - 1).bit_length() - 1
    if place < half:
        return sha256(b"\1", path_root(leaf, place, half, path[:-1]), path[-1])
    return sha256(b"\1", path[-1], path_root(leaf, place - half, size - half, path[:-1]))


def parts(line):
    return line["checkpoint"], base64.b64decode(line["signature"])


def check_trail(path, keys, kept):
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.execute("BEGIN")
        (log,) = database.execute("SELECT id FROM log").fetchone()
        tables = sorted(sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"))
        entries = database.execute("SELECT id, writer, seq, previous, hash, body FROM entries ORDER BY id").fetchall()
        points = database.execute("SELECT number, body, signature FROM checkpoints ORDER BY number").fetchall()
    problems, heads, hashes, stored, signed, before = [], {}, [], [], 0, ""
    if sha256("\n".join(tables).encode()).hex() != TABLES:
        problems.append("tables, indexes or triggers were changed: something may be hidden")
    for id_, writer, seq, previous, hash_, body in entries:
        genesis = sha256(f"muniment-trail-3\n{log}\n{writer}".encode())
        if (id_, seq, previous) != (len(hashes) + 1, *heads.get(writer, (1, genesis))):
            problems.append(f"entry {id_} does not follow the one before it")
        if body is not None and sha256(previous, body.encode()) != hash_:
            problems.append(f"entry {id_} is not what was hashed")
        heads[writer] = (seq + 1, hash_)
        hashes.append(hash_)
    bare = [hash_ for *_, hash_, body in entries if body is None]
    said = {"removed": 0, "removed_root": tree_root([]).hex()}
    for row, (number, body, signature) in enumerate(points, start=1):
        said = json.loads(body)
        root = tree_root(hashes[signed : said["count"]]).hex()
        follows = {"first": signed + 1, "log": log, "number": row, "previous": before, "root": root}
        if number != row or canonical(said | follows) != body.encode():
            problems.append(f"checkpoint {number} does not sign the entries from {signed + 1} to {said['count']}")
        signed, before = said["count"], sha256(body.encode(), signature).hex()
        stored.append((said, signature))
    # Each names the digest of the one before it, so the newest signature is for all of them.
    if stored and not is_signed(CHECKPOINT + canonical(said), signature, followed(keys, stored[:-1])[-1]):
        problems.append("the newest checkpoint was not signed with this key, or one that it leads to")
    if (said["removed"], said["removed_root"]) != (len(bare), tree_root(bare).hex()):
        problems.append(f"{len(bare)} entries have no content, and not the {said['removed']} that were signed as such")
    gone = [point["number"] for point, signature in kept if (point, signature) not in stored]
    problems += [f"checkpoint {number}, kept elsewhere, is not in the trail" for number in gone]
    return problems, f"{len(hashes)} entries hang together, {signed} of them are signed."


def check_answer(evidence, keys, text):
    problems, found, receipt, said = [], {}, evidence["receipt"], evidence["receipt"]["receipt"]
    keys, signature = followed(keys, map(parts, evidence["keys"])), base64.b64decode(receipt["signature"])
    if not any(is_signed(RECEIPT + canonical(said), signature, key) for key in keys):
        problems.append("the receipt was not signed with this key, or one that it leads to")
    for entry in evidence["entries"]:
        (point, signature), body = parts(entry["checkpoint"]), json.loads(entry["body"])
        hash_ = sha256(bytes.fromhex(entry["previous"]), entry["body"].encode())
        place, size = entry["id"] - point["first"], point["count"] - point["first"] + 1
        root = path_root(hash_, place, size, [bytes.fromhex(one) for one in entry["path"]]).hex()
        if root != point["root"] or not any(is_signed(CHECKPOINT + canonical(point), signature, key) for key in keys):
            problems.append(f"entry {entry['id']} is not one that was signed")
        found[body["kind"]] = body["event"] | {"hash": hash_.hex(), "log": point["log"]}
    asked, given = found.get("question:asked", {}), found.get("answer:given", {})
    passages = found.get("passages:retrieved", {}).get("passages", [])
    who = {"principal": said.get("subject", said["principal"])}
    if {name: asked.get(name) for name in ("hash", "log", "principal")} != said["intent"] | who:
        problems.append("the question is not in the trail, or somebody else asked it")
    if given.get("receipt_sha256") != sha256(canonical(receipt)).hex() or not {*said["passages"]} <= {*passages}:
        problems.append("the trail does not say of this answer what the receipt says")
    if text is not None and sha256(text).hex() != said["output_sha256"]:
        problems.append("this is not the text of the answer")
    return problems, f"{said['principal']} was given this answer at {said['at']}, and the trail says the same."


def main():
    parser = argparse.ArgumentParser(description="Check a trail, or the evidence for one answer.")
    parser.add_argument("what", choices=["trail", "answer"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", type=Path, required=True, help="the public key, as PEM")
    parser.add_argument("--checkpoints", type=Path, help="of a trail: checkpoints that were kept elsewhere")
    parser.add_argument("--text", type=Path, help="of an answer: its text")
    given = parser.parse_args()
    try:
        lines = given.checkpoints.read_text().splitlines() if given.checkpoints else []
        kept = [parts(json.loads(line)) for line in lines if line.count("}") == 2]  # The last may be cut off.
        if given.checkpoints and not kept:
            raise ValueError(f"{given.checkpoints} holds no checkpoint")
        if given.what == "trail":
            problems, held = check_trail(given.file, read_keys(given.key), kept)
        else:
            text = given.text.read_bytes() if given.text else None
            problems, held = check_answer(json.loads(given.file.read_text()), read_keys(given.key), text)
    except (sqlite3.Error, OSError, ValueError, TypeError, LookupError) as error:
        problems = [f"this cannot be read as what it should be: {error!r}"]
    print("\n".join(problems) if problems else held)
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
