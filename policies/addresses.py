"""What addresses mean, for those who need no connection: this costs no import of a library that could make one."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name that is no address counts as reachable."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
