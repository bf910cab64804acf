"""A real OpenLDAP server on loopback, with a configuration, certificate and content of the test's own."""

import contextlib
import ipaddress
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ldap
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = "/usr/sbin/slapd"
BASE = "dc=harbour,dc=example"
PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reads the directory"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "changes the directory"
_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
TLSCACertificateFile {folder}/ca.pem
sizelimit {sizelimit}
security {security}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
database mdb
maxsize 268435456
suffix "{base}"
rootdn "{admin}"
rootpw "{admin_password}"
directory {folder}/data
index objectClass,uid,entryUUID eq
{overlay}
"""


class Slapd:
    """A running server; named by its address, since libldap takes `localhost` for the name of the machine."""

    def __init__(self, folder: Path, port: int, secure_port: int) -> None:
        self.folder = folder
        self.plain = f"ldap://127.0.0.1:{port}"
        self.secure = f"ldaps://127.0.0.1:{secure_port}"
        self.ca = str(folder / "ca.pem")

    @contextlib.contextmanager
    def admin(self) -> Iterator[ldap.ldapobject.LDAPObject]:
        """A connection that may change everything."""
        connection = ldap.initialize(self.plain)
        connection.set_option(ldap.OPT_X_TLS_CACERTFILE, self.ca)
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        connection.start_tls_s()
        connection.simple_bind_s(ADMIN, ADMIN_PASSWORD)
        try:
            yield connection
        finally:
            connection.unbind_s()

    def put(self, dn: str, **attributes: object) -> None:
        with self.admin() as connection:
            connection.add_s(dn, list(_encoded(attributes).items()))

    def put_person(self, uid: str, password: str = "", dn: str = "") -> str:
        dn = dn or person_dn(uid)
        extra = {"userPassword": password} if password else {}
        self.put(dn, objectClass="inetOrgPerson", uid=uid, cn=uid, sn=uid, **extra)
        return dn

    def put_group(self, cn: str, *members: str, dn: str = "") -> str:
        dn = dn or group_dn(cn)
        self.put(dn, objectClass="groupOfNames", cn=cn, member=list(members) or [BASE])
        return dn

    def change(self, dn: str, attribute: str, values: list[str]) -> None:
        with self.admin() as connection:
            connection.modify_s(dn, [(ldap.MOD_REPLACE, attribute, [value.encode() for value in values])])

    def remove(self, dn: str) -> None:
        with self.admin() as connection:
            connection.delete_s(dn)


def person_dn(uid: str) -> str:
    return f"uid={ldap.dn.escape_dn_chars(uid)},{PEOPLE}"


def group_dn(cn: str) -> str:
    return f"cn={ldap.dn.escape_dn_chars(cn)},{GROUPS}"


def require_slapd() -> None:
    if Path(PROGRAM).exists():
        return
    if os.environ.get("CI"):
        pytest.fail(f"{PROGRAM} is missing: install slapd")
    pytest.skip(f"{PROGRAM} is missing: apt install slapd")


@contextlib.contextmanager
def running_slapd(
    folder: Path, entries: Iterable[str] = (), *, sizelimit: str = "unlimited", memberof: bool = False
) -> Iterator[Slapd]:
    """Start a server with these entries (LDIF) besides the reader and the two units; stop it afterwards."""
    require_slapd()
    (folder / "data").mkdir(parents=True)
    write_certificates(folder)
    configuration = folder / "slapd.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            sizelimit=sizelimit,
            security="ssf=0 simple_bind=128",
            reader=READER,
            base=BASE,
            admin=ADMIN,
            admin_password=ADMIN_PASSWORD,
            overlay="overlay memberof" if memberof else "",
        )
    )
    content = folder / "content.ldif"
    content.write_text("\n\n".join([*_SKELETON, *entries]) + "\n", encoding="utf-8")
    add = [PROGRAM, "-T", "add", "-q", "-f", str(configuration), "-l", str(content)]
    subprocess.run(add, check=True, capture_output=True, timeout=120)
    port, secure_port = free_port(), free_port()
    server = Slapd(folder, port, secure_port)
    urls = f"ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{secure_port}/"
    process = subprocess.Popen(
        [PROGRAM, "-d", "0", "-f", str(configuration), "-h", urls],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port, process)
        yield server
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


_SKELETON = (
    f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Harbour\ndc: harbour",
    f"dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: "
    + READER_PASSWORD,
    f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people",
    f"dn: {GROUPS}\nobjectClass: organizationalUnit\nou: groups",
)


def ldif_person(uid: str) -> str:
    return f"dn: {person_dn(uid)}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}"


def ldif_group(cn: str, members: Iterable[str]) -> str:
    named = "\n".join(f"member: {member}" for member in members)
    return f"dn: {group_dn(cn)}\nobjectClass: groupOfNames\ncn: {cn}\n{named}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def write_certificates(folder: Path, names: tuple[str, ...] = ("localhost",)) -> None:
    """A certificate authority, and a certificate of its for the server."""
    authority = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("Test authority", authority, "Test authority", authority, x509.BasicConstraints(True, None))
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [*map(x509.DNSName, names)]
    if "localhost" in names:
        alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = _certificate(names[0], key, "Test authority", authority, x509.SubjectAlternativeName(alternatives))
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    by: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(by, hashes.SHA256())
    )


def _encoded(attributes: dict[str, object]) -> dict[str, list[bytes]]:
    return {
        name: [str(value).encode() for value in (values if isinstance(values, list) else [values])]
        for name, values in attributes.items()
    }


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        assert process.poll() is None, "slapd ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail("slapd does not listen")
