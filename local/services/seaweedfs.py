"""SeaweedFS, the S3 server of the platform: its files, its keys, and its command line.

What belongs here: the server. Buckets and clients are in `local.services.bucket`.

The program is a small cluster in one process, whose parts communicate over internal ports. By default, every user of
the machine can read and delete all objects through these ports. So all of them require a certificate that only this
platform has, and the S3 port requires one of the keys in `identities.json`.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import secrets
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.errors import PlatformError
from local.settings import INTERNAL_S3_PORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from local.settings import PlatformSettings

PROGRAM = Path(sys.executable).parent / "weed"
ENVIRONMENT = {
    # Without a limit its buffers take 830 MB after one large upload. It reserves 240 MB at its start: with a limit
    # below that, Go collects garbage all the time, which takes 10 % of a core and adds 25 ms to a listing.
    "GOMEMLIMIT": "320MiB",
}

_IDENTITIES, _CERTIFICATE, _KEY = "identities.json", "certificate.pem", "key.pem"
# The parts of the program that listen, each over HTTP and over gRPC.
_PARTS = ("master", "volume", "filer")
_GRPC_ALONE = ("s3", "worker", "client", "mq", "msg_broker", "msg_agent")
_LIFETIME = dt.timedelta(days=3650)
_ON_BUCKET = ("Read", "Write", "List", "Tagging")
READ_ONLY = ("Read", "List")


class Identity:
    """An access key of the S3 server and the buckets that it may use; `*` in a bucket's name matches any text."""

    def __init__(
        self, key: str, secret: str, buckets: Iterable[str] | None, rights: tuple[str, ...] = _ON_BUCKET
    ) -> None:
        """Store the key. With None as buckets it may use and create all buckets."""
        self._key, self._secret, self._buckets, self._rights = key, secret, buckets, rights

    def entry(self) -> dict[str, object]:
        """Return the entry in the server's `identities.json`."""
        return {
            "name": self._key,
            "credentials": [{"accessKey": self._key, "secretKey": self._secret}],
            "actions": self._actions(),
        }

    def _actions(self) -> list[str]:
        if self._buckets is None:
            return ["Admin", *_ON_BUCKET]
        # A wildcard includes the right to create buckets, since no bucket may match yet.
        return [
            f"{action}:{name}" for name in self._buckets for action in (("Admin",) if "*" in name else self._rights)
        ]


def command(settings: PlatformSettings) -> tuple[str, ...]:
    """Return the server's command line, for the working directory `settings.layout.s3`."""
    return (
        str(PROGRAM), "-logtostderr=true", "-v=-1", "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-s3.config={_IDENTITIES}", "-s3.iam=false", f"-s3.port={settings.s3_port}",
        # Each bucket has a separate volume file. By default the server allows one per GB of free disk: with 77 GB
        # free, the 78th bucket could store no object.
        "-volume.max=10000",
        "-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024", "-master.electionTimeout=4s", "-volume.preStopSeconds=0",
        # In the working directory, not in the temporary folder that all users share.
        "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
        *(f"-{option}={port}" for option, port in _ports(settings).items()),
    )  # fmt: skip


def prepare(settings: PlatformSettings, identities: Iterable[Identity]) -> None:
    """Write the certificate, the access keys and the server's settings. All but the keys are new at each start.

    Raises:
        PlatformError: another user of the machine has a file at the path of one of the server's sockets.
    """
    layout = settings.layout
    (layout.s3 / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_sockets(settings)
    certificate, key = _make_certificate()
    for name, text in {
        _CERTIFICATE: certificate,
        _KEY: key,
        _IDENTITIES: json.dumps({"identities": [identity.entry() for identity in identities]}),
        "security.toml": _security(),
    }.items():
        path = layout.s3 / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)


def _ports(settings: PlatformSettings) -> dict[str, int]:
    http = [f"{part}.port" for part in _PARTS]
    grpc = [f"{part}.port.grpc" for part in (*_PARTS, "s3")]
    return dict(zip([*http, *grpc], internal_ports(settings), strict=True))


def internal_ports(settings: PlatformSettings) -> tuple[int, ...]:
    """Return the ports that the parts of the server use internally."""
    return tuple(range(settings.s3_internal_ports, settings.s3_internal_ports + INTERNAL_S3_PORTS))


def remove_sockets(settings: PlatformSettings) -> None:
    """Remove left-over sockets of the server, except those on which the server of another platform listens."""
    for path in _sockets(settings):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def _sockets(settings: PlatformSettings) -> list[Path]:
    """Return the internal sockets of the server. The paths are constants of the program."""
    ports = _ports(settings)
    return [
        Path(f"/tmp/seaweedfs-{part}-grpc-{ports[f'{part}.port.grpc']}.sock")  # noqa: S108 - a constant of the program
        for part in (*_PARTS, "s3")
    ]


def _check_sockets(settings: PlatformSettings) -> None:
    """Check that no other user owns a socket's path, which would prevent the start of the server.

    Such a socket could not intercept data: both ends of a connection require the certificate.
    """
    for path in _sockets(settings):
        try:
            owner = path.lstat().st_uid
        except FileNotFoundError:
            continue
        if owner != os.geteuid() and os.geteuid() != 0:
            raise PlatformError(
                f"{path} belongs to another user (uid {owner}), and the S3 server needs that name",
                "set S3_INTERNAL_PORTS to another number, in the environment or in .env",
            )
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise PlatformError(f"{path} is not a socket, and the S3 server needs that name", "remove it")


def _security() -> str:
    sections: dict[str, Mapping[str, object]] = {
        "jwt.filer_signing": {"key": secrets.token_hex(32)},
        "jwt.filer_signing.read": {"key": secrets.token_hex(32)},
        "grpc": {"ca": _CERTIFICATE},
    }
    pair = {"cert": _CERTIFICATE, "key": _KEY}
    for part in (*_PARTS, *_GRPC_ALONE):
        sections[f"grpc.{part}"] = pair
    for part in _PARTS:
        sections[f"https.{part}"] = pair | {"ca": _CERTIFICATE}
    sections["https.client"] = pair | {"ca": _CERTIFICATE, "enabled": True}
    lines = []
    for name, options in sections.items():
        lines += [f"[{name}]", *(f"{option} = {json.dumps(value)}" for option, value in options.items()), ""]
    return "\n".join(lines)


def _make_certificate() -> tuple[str, str]:
    """Make a self-signed certificate for both ends of each connection, and its private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "platform-s3")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # in case the clock is set back
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
