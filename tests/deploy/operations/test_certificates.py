"""Certificates and keys are what TLS and the engine ask for, and secrets are born closed."""

import re
import shutil
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.operations.certificates import fingerprint, write_authority, write_node_key


def test_the_servers_certificate_is_signed_and_names_the_host(tmp_path):
    write_authority(tmp_path, tmp_path / "ca.key", "fl.example.org")
    authority, server = (
        x509.load_pem_x509_certificate((tmp_path / f"{name}.crt").read_bytes())
        for name in ("ca", "server")
    )
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fl.example.org", "localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    limits = server.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not limits.ca


def test_a_connection_is_trusted_by_the_authority_alone(tmp_path):
    write_authority(tmp_path / "one", tmp_path / "one" / "ca.key", "localhost")
    write_authority(tmp_path / "two", tmp_path / "two" / "ca.key", "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "one" / "server.crt", tmp_path / "one" / "server.key")
    assert shaken(server, tmp_path / "one" / "ca.crt", "localhost")
    assert shaken(server, tmp_path / "one" / "ca.crt", "127.0.0.1")
    assert not shaken(server, tmp_path / "one" / "ca.crt", "elsewhere.example.org")
    assert not shaken(server, tmp_path / "two" / "ca.crt", "localhost")


def shaken(server, authority, name):
    """Whether a TLS handshake comes to its end, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=str(authority))
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    done = {here: False, there: False}
    for _ in range(10):
        for side in (here, there):
            try:
                side.do_handshake()
                done[side] = True
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return all(done.values())


def test_a_nodes_key_is_an_openssh_key_on_p384(tmp_path):
    write_node_key(tmp_path / "k", tmp_path / "k.pub")
    private = serialization.load_ssh_private_key((tmp_path / "k").read_bytes(), None)
    public = serialization.load_ssh_public_key((tmp_path / "k.pub").read_bytes())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp384r1"
    assert private.public_key() == public


def test_a_fingerprint_is_that_of_openssh(tmp_path):
    write_node_key(tmp_path / "k", tmp_path / "k.pub")
    command = ["ssh-keygen", "-l", "-f", str(tmp_path / "k.pub")]
    if shutil.which("ssh-keygen"):
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert fingerprint(tmp_path / "k.pub") == shown.split()[1]
    assert re.fullmatch("SHA256:[A-Za-z0-9+/]{43}", fingerprint(tmp_path / "k.pub"))


@pytest.mark.parametrize("name", ["k", "nothing"])
def test_what_is_no_public_key_is_told(name, tmp_path):
    write_node_key(tmp_path / "k", tmp_path / "k.pub")
    with pytest.raises(InputError, match=r"sends supernode\.pub alone"):
        fingerprint(tmp_path / name)


def test_only_the_owner_may_read_what_is_secret(tmp_path):
    write_authority(tmp_path / "tls", tmp_path / "tls" / "ca.key", "localhost")
    write_node_key(tmp_path / "k", tmp_path / "k.pub")
    secrets = (tmp_path / "tls" / "ca.key", tmp_path / "tls" / "server.key", tmp_path / "k")
    assert [path.stat().st_mode & 0o777 for path in secrets] == [0o600] * 3
