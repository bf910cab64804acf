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
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

# Ed25519 as RFC 8032, section 5.1.7 and appendix A, has it.
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
CHECKPOINT = b"muniment-checkpoint-2\n"
# SHA-256 of the sorted statements that make the file's tables.
TABLES = "c83a5d568e1bfb5ab597bc726849492a6704a9c41150d431fa10a6537a63c5a1"
DER = bytes.fromhex("302a300506032b6570032100")  # What stands before the 32 bytes of a key: RFC 8410.


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def add(one, two):
    a, b = (one[1] - one[0]) * (two[1] - two[0]) % P, (one[1] + one[0]) * (two[1] + two[0]) % P
    c, d = 2 * one[3] * two[3] * D % P, 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number, point):
    result = (0, 1, 1, 0)
    while number:
        result, point, number = add(result, point) if number & 1 else result, add(point, point), number >> 1
    return result


def point_of(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * ROOT % P
    if y >= P or (x * x - square) % P or (not x and sign):
        raise ValueError("no point of the curve")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def is_signed(message, signature, key):
    try:
        a, r, s = point_of(key), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    except ValueError:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % Q
    left, right = times(s, BASE), add(r, times(h, a))
    same = all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))
    return len(signature) == 64 and s < Q and same


def read_key(path):
    der = base64.b64decode("".join(Path(path).read_text().split("-----")[2].split()))
    if len(der) != 44 or not der.startswith(DER):
        sys.exit(f"{path} is no Ed25519 public key in PEM form.")
    return der[12:]


def tree_root(hashes):
    if len(hashes) < 2:
        return sha256(*(b"\0" + hash_ for hash_ in hashes))
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\1", tree_root(hashes[:half]), tree_root(hashes[half:]))


def path_root(leaf, place, size, path):
    """The root of a tree of this size in which the leaf has this path, from its definition: halves within halves."""
    if size == 1:
        return sha256(b"\0", leaf) if not path else b""
    half = 1 << (size - 1).bit_length() - 1
    if not path:
        return b""
    if place < half:
        return sha256(b"\1", path_root(leaf, place, half, path[:-1]), path[-1])
    return sha256(b"\1", path[-1], path_root(leaf, place - half, size - half, path[:-1]))


def check_trail(path, key, kept):
    with closing(sqlite3.connect(f"file:{quote(str(Path(path).absolute()))}?mode=ro", uri=True)) as database:
        return check_database(database, key, kept)


def check_database(database, key, kept):
    (log,) = database.execute("SELECT id FROM log").fetchone()
    heads, hashes, problems, stored, signed, before = {}, [], [], set(), 0, ""
    tables = sorted(sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    if sha256("\n".join(tables).encode()).hex() != TABLES:
        problems.append("tables, indexes or triggers were changed: something may be hidden")
    query = "SELECT id, writer, seq, previous, hash, body FROM entries ORDER BY id"
    for id_, writer, seq, previous, hash_, body in database.execute(query):
        genesis = sha256(f"muniment-trail-2\n{log}\n{writer}".encode())
        if (id_, seq, previous) != (len(hashes) + 1, *heads.get(writer, (1, genesis))):
            problems.append(f"entry {id_} does not follow the one before it")
        if sha256(previous, body.encode()) != hash_:
            problems.append(f"entry {id_} is not what was hashed")
        heads[writer] = (seq + 1, hash_)
        hashes.append(hash_)
    query = "SELECT number, body, signature FROM checkpoints ORDER BY number"
    for row, (number, body, signature) in enumerate(database.execute(query), start=1):
        said, text = json.loads(body), body.encode()
        follows = [log, row, row, signed + 1, tree_root(hashes[signed : said["count"]]).hex(), before]
        found = [said["log"], number, said["number"], said["first"], said["root"], said["previous"]]
        if found != follows or canonical(said) != text:
            problems.append(f"checkpoint {number} does not sign the entries that follow the one before it")
        signed, before = said["count"], sha256(text, signature).hex()
        stored.add((text, signature))
    # Each names the digest of the one before it, so the newest signature is for all of them.
    if before and not is_signed(CHECKPOINT + text, signature, key):
        problems.append("the newest checkpoint was not signed with this key")
    if signed > len(hashes):
        problems.append(f"entries {len(hashes) + 1} to {signed} were signed and are missing")
    gone = [one for one in kept if (canonical(one["checkpoint"]), base64.b64decode(one["signature"])) not in stored]
    problems += [f"checkpoint {one['checkpoint']['number']}, kept elsewhere, is not in the trail" for one in gone]
    return problems, f"{len(hashes)} entries hang together, {signed} of them are signed."


def check_answer(evidence, key, text):
    problems, receipt, found = [], evidence["receipt"], {}
    said = receipt["receipt"]
    if not is_signed(b"muniment-receipt-1\n" + canonical(said), base64.b64decode(receipt["signature"]), key):
        problems.append("the receipt was not signed with this key")
    for entry in evidence["entries"]:
        point, path = entry["checkpoint"]["checkpoint"], [bytes.fromhex(hash_) for hash_ in entry["path"]]
        hash_ = sha256(bytes.fromhex(entry["previous"]), entry["body"].encode())
        root = path_root(hash_, entry["id"] - point["first"], point["count"] - point["first"] + 1, path)
        signature = base64.b64decode(entry["checkpoint"]["signature"])
        if root.hex() != point["root"] or not is_signed(CHECKPOINT + canonical(point), signature, key):
            problems.append(f"entry {entry['id']} is not one that was signed")
        body = json.loads(entry["body"])
        found[body["kind"]] = body["event"] | {"hash": hash_.hex(), "log": point["log"]}
    asked, given = found.get("question:asked", {}), found.get("answer:given", {})
    passages = found.get("passages:retrieved", {}).get("passages", [])
    if asked.get("principal") != said.get("subject", said["principal"]):
        problems.append("the trail says that somebody else asked")
    if asked.get("hash") != said["intent"]["hash"] or asked.get("log") != said["intent"]["log"]:
        problems.append("the question is not in the trail")
    if given.get("receipt_sha256") != sha256(canonical(receipt)).hex() or not {*said["passages"]} <= {*passages}:
        problems.append("the trail does not say of this answer what the receipt says")
    if text is not None and hashlib.sha256(text).hexdigest() != said["output_sha256"]:
        problems.append("this is not the text of the answer")
    return problems, f"{said['principal']} was given this answer at {said['at']}, and the trail says the same."


def read_kept(path):
    """The checkpoints of a file; its last line may have been cut off, but something must be left to hold a trail to."""
    *lines, last = Path(path).read_text().splitlines() or [""]
    kept = [json.loads(line) for line in lines]
    try:
        kept.append(json.loads(last))
    except ValueError:
        if not kept:
            raise ValueError(f"{path} holds no checkpoint") from None
    return kept


def main():
    parser = argparse.ArgumentParser(description="Check a trail, or the evidence for one answer.")
    parser.add_argument("what", choices=["trail", "answer"])
    parser.add_argument("file")
    parser.add_argument("--key", required=True, help="the public key, as PEM")
    parser.add_argument("--checkpoints", help="of a trail: checkpoints that were kept elsewhere")
    parser.add_argument("--text", help="of an answer: its text")
    given = parser.parse_args()
    try:
        key = read_key(given.key)
        if given.what == "trail":
            problems, held = check_trail(given.file, key, read_kept(given.checkpoints) if given.checkpoints else [])
        else:
            text = Path(given.text).read_bytes() if given.text else None
            problems, held = check_answer(json.loads(Path(given.file).read_text()), key, text)
    except (sqlite3.Error, OSError, ValueError, TypeError, LookupError) as error:
        problems = [f"this cannot be read as what it should be: {error!r}"]
    print("\n".join(problems) if problems else held)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
