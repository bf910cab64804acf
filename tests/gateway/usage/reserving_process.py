"""A process that reserves as many questions as it gets, and holds on to them until it is told to end, or is killed.

Given the database, the limit, the number of questions to try, and how far its clock is ahead.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.database import open_database
from gateway.usage.book import Book, Reservation
from gateway.usage.options import UsageOptions
from gateway.usage.taken import Demand
from policies.principals import Principal
from tests.gateway.usage.limits_of import one_limit


def main(database: str, most: str, tries: str, ahead: str) -> None:
    opened = open_database(Path(database))
    options: UsageOptions = one_limit(int(most))
    book = Book(lambda: opened, options, lambda name: name, lambda: datetime.now(UTC) + timedelta(seconds=int(ahead)))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    replies = [book.wish(Principal("bob"), ("small",), Demand(1, 1, 0)) for _ in range(int(tries))]
    got = sum(isinstance(reply.result(), Reservation) for reply in replies)
    sys.stdout.write(f"{got}\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
