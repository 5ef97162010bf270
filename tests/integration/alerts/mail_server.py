"""Mail servers on loopback: one that accepts or refuses mail, and ports that do not respond as a mail server."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.settings import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

USER, PASSWORD = "filegate", "correct horse battery"
ACCEPTED = "250 OK"


class MailServer:
    """Stores accepted mail. `answers` are the replies to the next mails, which are then not accepted."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.senders: list[str] = []
        self.recipients: list[list[str]] = []
        self.answers: list[str] = []
        self.unknown: set[str] = set()
        self.tries = 0
        self.port = 0

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 unknown"
        envelope.rcpt_tos.append(address)
        return ACCEPTED

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.tries += 1
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.senders.append(envelope.mail_from)
        self.recipients.append(list(envelope.rcpt_tos))
        return ACCEPTED

    def reset(self) -> None:
        """Delete stored mail and replies."""
        for kept in (self.mails, self.senders, self.recipients, self.answers, self.unknown):
            kept.clear()
        self.tries = 0


def _authenticated(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@contextmanager
def serving(*, password: bool = False, certificate: Path | None = None) -> Iterator[MailServer]:
    """Run a server; with `password` it requires a login, with a certificate it requires encryption."""
    mails = MailServer()
    [mails.port] = free_ports(1)
    options: dict[str, Any] = (
        {"auth_required": True, "auth_require_tls": False, "authenticator": _authenticated} if password else {}
    )
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        options |= {"tls_context": tls, "require_starttls": True, "auth_require_tls": True}
    controller = Controller(mails, hostname="127.0.0.1", port=mails.port, **options)
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()


def write_certificate(path: Path) -> None:
    """Write a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(pem))


@contextmanager
def listening(*, endless: bool = False) -> Iterator[int]:
    """Open a port that accepts connections and sends nothing, or an endless line, one byte at a time."""
    stopped = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        thread = Thread(target=_send_bytes, args=(server, stopped), daemon=True)
        if endless:
            thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stopped.set()
            if endless:
                thread.join()


def _send_bytes(server: socket.socket, stopped: Event) -> None:
    clients: list[socket.socket] = []
    while not stopped.wait(0.1):
        with suppress(TimeoutError):
            clients.append(server.accept()[0])
        for client in clients:
            try:
                client.send(b"2")
            except OSError:
                client.close()
    for client in clients:
        client.close()
