"""Certificates that the tests of this folder share."""

import ssl
from pathlib import Path

import pytest

from tests.policies.sinks.authority import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_files(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("server", "localhost")


@pytest.fixture
def server_tls(server_files: tuple[Path, Path]) -> ssl.SSLContext:
    return tls_of(server_files)


def tls_of(files: tuple[Path, Path]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*files)
    return made
