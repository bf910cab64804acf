"""A process that sends a trail to an address until it is stopped.

Run as `python export_process.py TRAIL FOLDER URL`.
"""

import sys
import time
from pathlib import Path

from policies.audit.formats import Format
from policies.audit.sinks import exports
from policies.audit.sinks.backoff import Backoff
from policies.audit.sinks.exports import Exporter
from policies.audit.sinks.options import HttpExport
from policies.audit.sinks.positions import PositionFile
from policies.audit.sinks.transports import open_transport


def main(trail: str, folder: str, url: str) -> None:
    exports._MOST_TOGETHER = 50
    export = HttpExport(name="siem", url=url, format=Format.JSON, deadline_seconds=2.0)
    home = Path(folder)
    transport = open_transport(export, home, home)
    position = PositionFile(home, "siem")
    Exporter(export, transport, position, Path(trail), lambda _: None, backoff=Backoff(0.01, 0.05)).start()
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
