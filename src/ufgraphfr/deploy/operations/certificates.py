"""Certificates and keys of a deployment: one authority, one server, one key pair a node.

Elliptic curves throughout (P-384), which is what SuperNode authentication asks for.
"""

import base64
import binascii
import datetime
import hashlib
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import give_to_owner, make_folder

AUTHORITY_DAYS, SERVER_DAYS = 3650, 825

_Names = list[x509.GeneralName]
_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def write_authority(folder: Path, secret: Path, host: str) -> None:
    """Write ``ca.crt``, ``server.key`` and ``server.crt``, and the key of the authority.

    Args:
        folder: where to.
        secret: file of the authority's key, which no running process needs.
        host: by which nodes know the server; localhost and 127.0.0.1 are always accepted too.
    """
    ca_key = ec.generate_private_key(ec.SECP384R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ufgraphfr authority")])
    signs = _usage(key_cert_sign=True, crl_sign=True)
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .sign(ca_key, hashes.SHA384())
    )
    make_folder(folder)
    write_secret(secret, _private(ca_key, serialization.PrivateFormat.PKCS8))
    (folder / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    write_server(folder, secret, host)


def write_server(folder: Path, secret: Path, host: str) -> None:
    """Write ``server.key`` and ``server.crt``, signed by the authority whose ``ca.crt`` is there.

    Args:
        folder: where to.
        secret: file of the authority's key.
        host: see `write_authority`.

    Raises:
        InputError: the authority's key is missing, or is another one's.
    """
    try:
        ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        ca_key = serialization.load_pem_private_key(secret.read_bytes(), None)
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey) or (
            ca_key.public_key() != ca.public_key()
        ):
            raise ValueError("it is another authority's")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{secret} cannot sign for {folder / 'ca.crt'} ({error}): put the authority's key "
            f"there, for as long as this takes"
        ) from None
    server_key = ec.generate_private_key(ec.SECP384R1())
    # clients read the alternative name; this field ends at 64 characters, and hosts may be longer
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ufgraphfr server")])
    known = x509.SubjectAlternativeName(_names(host))
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    server = (
        _certificate(server_name, ca.subject, server_key.public_key(), SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(purpose, critical=False)
        .add_extension(known, critical=False)
        .sign(ca_key, hashes.SHA384())
    )
    (folder / "server.key").unlink(missing_ok=True)
    write_secret(folder / "server.key", _private(server_key, serialization.PrivateFormat.PKCS8))
    (folder / "server.crt").write_bytes(server.public_bytes(serialization.Encoding.PEM))


def write_node_key(private: Path, public: Path) -> None:
    """Write a SuperNode's key pair in OpenSSH's formats, at the node itself."""
    key = ec.generate_private_key(ec.SECP384R1())
    write_secret(private, _private(key, serialization.PrivateFormat.OpenSSH))
    formats = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    public.write_bytes(key.public_key().public_bytes(*formats) + b"\n")


def fingerprint(public: Path) -> str:
    """Of a SuperNode's public key, as ``ssh-keygen -l`` shows it; for comparing it by telephone.

    Raises:
        InputError: the file is missing, or holds anything else.
    """
    try:
        kind, key = public.read_bytes().split()[:2]
        if not kind.startswith(b"ecdsa-"):
            raise ValueError
        digest = hashlib.sha256(base64.b64decode(key, validate=True)).digest()
    except (OSError, ValueError, binascii.Error):
        raise InputError(
            f"{public} holds no public key of a node: its operator runs ufgraphfr agent --shard "
            f"shard init there, and sends supernode.pub alone; put it here"
        ) from None
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def names_of(certificate: x509.Certificate) -> list[str]:
    """Hosts and addresses that a certificate names."""
    try:
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = known.get_values_for_type(x509.IPAddress)
    return [*known.get_values_for_type(x509.DNSName), *map(str, addresses)]


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may ever read."""
    make_folder(path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        give_to_owner(handle, path.parent)
        file.write(content)


def _private(key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _names(host: str) -> _Names:
    names: _Names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    try:
        name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    return names if name in names else [name, *names]


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # clocks of other hosts may be behind
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    return x509.KeyUsage(**(dict.fromkeys(_USES, False) | granted))
