"""A certificate for 127.0.0.1 and localhost, made on the spot, for clients that speak only https."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """`ca_file` is what a client must trust (REQUESTS_CA_BUNDLE, ssl.create_default_context(cafile=...))."""

    ca_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, self.key_file)
        return context


def make_certificate(folder: Path) -> Certificate:
    """Asks `openssl` for a self-signed certificate of one day. Raises CalledProcessError, FileNotFoundError."""
    certificate = Certificate(folder / "sandbox.pem", folder / "sandbox.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "1", "-subj", "/CN=Bitrix24 sandbox"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(certificate.key_file), "-out", str(certificate.ca_file)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate
