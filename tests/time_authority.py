"""A real time-stamp authority: `openssl ts -reply` behind HTTP, with a root and a signer made for the test."""

import contextlib
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONFIG = """
[tsa]
default_tsa = this
[this]
serial = {folder}/serial
signer_cert = {folder}/signer.pem
signer_key = {folder}/signer.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = md5, sha1, sha224, sha256, sha384, sha512
{accuracy}
ess_cert_id_alg = sha256
"""


class Tsa:
    """`answer` makes the body of an answer from a query; a test exchanges it. `queries` are those that came."""

    def __init__(self, folder: Path, name: str = "A time-stamp authority", ends_s: float = 86_400) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.address = ""
        self.queries: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = self.granted
        self.status, self.kind, self.pause_s = 200, "application/timestamp-reply", 0.0
        key = ec.generate_private_key(ec.SECP256R1())
        root = _certificate(name, key, None, key, ends_s)
        self.root_key = key
        self.root = root.public_bytes(serialization.Encoding.DER)
        self.root_path = folder / "root.pem"
        self.root_path.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        signer_key = ec.generate_private_key(ec.SECP256R1())
        signer = _certificate(f"{name}'s signer", signer_key, root, key, ends_s)
        (folder / "signer.pem").write_bytes(signer.public_bytes(serialization.Encoding.PEM))
        (folder / "signer.key").write_bytes(
            signer_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / "serial").write_text("01\n")
        self.state_accuracy("secs:1")

    def state_accuracy(self, accuracy: str) -> None:
        """From here on in every token: e.g. "secs:1, millisecs:500, microsecs:100"; "" for none."""
        line = f"accuracy = {accuracy}" if accuracy else ""
        (self.folder / "ts.cnf").write_text(_CONFIG.format(folder=self.folder, accuracy=line))

    def granted(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        command: list[str | Path] = ["openssl", "ts", "-reply", "-config", self.folder / "ts.cnf"]
        subprocess.run(
            [*command, "-queryfile", self.folder / "query", "-out", self.folder / "reply"],
            check=True,
            capture_output=True,
            timeout=30,
        )
        return (self.folder / "reply").read_bytes()

    @contextlib.contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator["Tsa"]:
        tsa = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                tsa.queries.append(query)
                body = tsa.answer(query)
                self.send_response(tsa.status)
                self.send_header("Content-Type", tsa.kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # nobody waits any more
                    if not tsa.pause_s:
                        self.wfile.write(body)
                    else:
                        for byte in body:
                            self.wfile.write(bytes([byte]))
                            time.sleep(tsa.pause_s)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/tsr"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    by: ec.EllipticCurvePrivateKey,
    ends_s: float,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)  # noqa: TID251 - openssl stamps with the real time
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(minutes=1)).not_valid_after(now + timedelta(seconds=ends_s))
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    if issuer is not None:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(by, hashes.SHA256())
