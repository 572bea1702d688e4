"""Who may speak to the gateway: certificates that a person registered, each for the one identity it names.

TLS alone is not enough: its library accepts any certificate that a registered key has signed, so that one booth
could issue itself another booth's name. A peer is therefore known by the very certificate it shows (`peer`).
"""

import functools
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import apsw
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.identity import CERTIFICATE_FAULTS, PublicKey, Role, SpiffeId, certificate_key, identity_of, key_id
from edge_agent.wire.refused import RefusalCode, Refused
from port_gateway.authority import issued_by, roots_pem
from port_gateway.chains import Ended
from port_gateway.revocation import Revoked, chain_heads, end_key, read_ended, wanted_ends
from port_gateway.store import Store

REGISTERED_ROLES = (Role.BOOTH, Role.BACK_OFFICE)
MIN_KEY_PREFIX = 8  # of a key id's 64 hex digits


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered certificate. One that is not `active` was replaced: it only verifies old events."""

    identity: SpiffeId
    certificate: x509.Certificate
    der: bytes
    added_utc_us: int
    active: bool

    @property
    def key(self) -> PublicKey:
        return certificate_key(self.certificate)


@dataclass(frozen=True, slots=True)
class Trust:
    """The registered certificates at one moment, newest first."""

    version: int
    registered: tuple[Registered, ...]
    ended: Mapping[str, Mapping[str, Ended]] = field(default_factory=dict)  # by booth and key id
    ports: Mapping[str, frozenset[str]] = field(default_factory=dict)  # that a back-office reads beside its own

    def roots_pem(self) -> bytes:
        """The active self-signed certificates as PEM: anchors of TLS, beside the site's authorities."""
        own = (r.certificate for r in self.registered if r.active and _names_itself(r.certificate))
        return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in own)

    def certificates(self) -> dict[str, list[bytes]]:
        """The newest certificate (DER) of each key that a booth ever had, newest first, by booth id."""
        booths: dict[str, dict[str, bytes]] = {}
        for r in self.registered:
            if r.identity.role is Role.BOOTH:
                booths.setdefault(str(r.identity), {}).setdefault(key_id(r.key), r.der)
        return {booth: list(of_key.values()) for booth, of_key in booths.items()}

    def booths(self) -> dict[str, str]:
        """Every booth that was ever registered, with its port."""
        return {str(r.identity): r.identity.port for r in self.registered if r.identity.role is Role.BOOTH}

    def readable(self, reader: SpiffeId) -> tuple[frozenset[str], bool]:
        """The booths that a back-office may read, and whether these are all: those of its port and of ports given."""
        ports = self.ports.get(str(reader), frozenset()) | {reader.port}
        booths = self.booths()
        may = frozenset(booth for booth, port in booths.items() if port in ports)
        return may, len(may) == len(booths)

    def device_keys(self, booth_id: str) -> dict[str, PublicKey]:
        """Keys by key id that may open a session of this booth: those of every certificate it ever had.

        A replaced key still verifies what it signed before; it cannot send, for its certificate opens no stream.
        """
        return {key_id(r.key): r.key for r in self.registered if str(r.identity) == booth_id}

    def revoked(self, registered: Registered) -> bool:
        """Whether the key of this certificate was revoked, which is more than replaced."""
        return self._end(registered) is RefusalCode.KEY_REVOKED

    def handed_over(self, registered: Registered) -> bool:
        """Whether the booth has handed over to another key: this certificate waits for the new one's connection."""
        return self._end(registered) is RefusalCode.KEY_RETIRED

    def _end(self, registered: Registered) -> RefusalCode | None:
        end = self.ended.get(str(registered.identity), {}).get(key_id(registered.key))
        return end.code if end is not None else None


class TrustStore:
    """The `trust` table. `trust add` may write it while a gateway is running: every look is at the newest state."""

    def __init__(self, store: Store, clock: Clock, authorities: Sequence[x509.Certificate] = ()) -> None:
        """`authorities` are the site's: what they issue for a registered booth is its certificate."""
        self._store = store
        self._clock = clock
        self._authorities = tuple(authorities)
        self._lock = threading.Lock()
        self._known: Trust | None = None

    def current(self) -> Trust:
        """The registered certificates now. Cheap while nothing changes. From any thread."""
        with self._lock:
            with self._store.reading() as db:
                version = db.execute("SELECT value FROM meta WHERE key = 'trust_version'").get
                if self._known is None or version != self._known.version:
                    self._known = read_trust(db)
            return self._known

    def roots_pem(self) -> bytes:
        """What TLS trusts now, as PEM: the site's authorities and the registered certificates.

        TLS takes the first of a subject: no registered one can stand before an authority.
        """
        return roots_pem(self._authorities) + self.current().roots_pem()

    def peer(self, pem: bytes, role: Role) -> Registered:
        """The registered certificate that a peer showed, or one that an authority issued for a registered booth.

        Raises Refused(NOT_TRUSTED) for any other, one that was replaced, has expired, or stands for another role, and
        Refused(KEY_REVOKED).
        """
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except CERTIFICATE_FAULTS:
            raise Refused(RefusalCode.NOT_TRUSTED, "no certificate was shown") from None
        found = self._found(self.current(), certificate)
        if not _in_time(certificate, self._clock.now().utc):
            raise Refused(RefusalCode.NOT_TRUSTED, f"the certificate of {found.identity} is not valid at this time")
        if found.identity.role is not role:
            raise Refused(RefusalCode.NOT_TRUSTED, f"{found.identity} is no {role}, and this is for a {role} only")
        return found

    def _found(self, trust: Trust, certificate: x509.Certificate) -> Registered:
        """What opens something now. Raises Refused(NOT_TRUSTED), Refused(KEY_REVOKED)."""
        der = certificate.public_bytes(serialization.Encoding.DER)
        known = next((r for r in trust.registered if r.der == der), None)
        found = known if known is not None else self._issued(trust, certificate, der)
        if found is not None and trust.revoked(found):
            raise Refused(RefusalCode.KEY_REVOKED, f"the key of this certificate of {found.identity} was revoked")
        if found is None or not found.active:
            raise Refused(RefusalCode.NOT_TRUSTED, "this certificate is not registered: `port-gateway trust add` it")
        return found

    def _issued(self, trust: Trust, certificate: x509.Certificate, der: bytes) -> Registered | None:
        """A certificate of a registered booth that one of the authorities issued; it may have been revoked."""
        if not issued_by(certificate, self._authorities):
            return None
        try:
            identity = identity_of(certificate)
            found = Registered(identity, certificate, der, 0, active=True)
            certificate_key(certificate)
        except (*CERTIFICATE_FAULTS, IdentityInvalid):
            return None
        if identity.role is not Role.BOOTH or not any(r.active and r.identity == identity for r in trust.registered):
            return None
        if trust.revoked(found):
            return found
        of_this_key = [r for r in trust.registered if r.identity == identity and key_id(r.key) == key_id(found.key)]
        replaced = bool(of_this_key) and not any(r.active for r in of_this_key)
        return None if replaced or trust.handed_over(found) else found

    def let_read(self, identity: SpiffeId, ports: Sequence[str]) -> None:
        """The ports that a back-office reads beside its own, in place of those given before. Raises IdentityInvalid."""
        for port in ports:
            SpiffeId.parse(f"spiffe://{port}/booth/x")
        if identity.role is not Role.BACK_OFFICE:
            raise IdentityInvalid(f"{identity} is no back-office", "booths read nothing; leave --reads out")

        def write(db: apsw.Connection) -> None:
            db.execute("DELETE FROM readable_port WHERE identity = ?", (str(identity),))
            db.executemany("INSERT OR IGNORE INTO readable_port VALUES (?,?)", [(str(identity), p) for p in ports])
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'")

        self._store.submit(write).result()

    def add(self, certificates: Sequence[x509.Certificate], replace: bool = False) -> list[tuple[SpiffeId, bool]]:
        """Register certificates, all or none; each with whether it was new. Raises IdentityInvalid."""
        now = self._clock.now().utc
        for certificate in certificates:
            _acceptable(certificate, now, self._authorities)

        def write(db: apsw.Connection) -> list[tuple[SpiffeId, bool]]:
            added = [_add(db, certificate, replace, round(now.timestamp() * 1e6)) for certificate in certificates]
            if any(new for _, new in added):
                db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'")
            return added

        return self._store.submit(write).result()

    def arrived(self, peer: Registered) -> None:
        """A booth has opened a stream with this certificate: those before it open nothing more.

        One that an authority issued is registered by it, so that readers are told of its key. Raises Refused when it
        was replaced or revoked since the peer was looked up.
        """
        known, over = self._arrival(self.current(), peer)
        if known and not over:
            return
        now = round(self._clock.now().utc.timestamp() * 1e6)

        def write(db: apsw.Connection) -> None:
            known, over = self._arrival(read_trust(db), peer)  # `trust add` may have come first
            if not known:
                register(db, peer.certificate, now)
            for one in over:
                db.execute("UPDATE trust SET replaced_utc_us = ? WHERE certificate = ?", (now, one.der))
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'")

        self._store.submit(write).result()

    def _arrival(self, trust: Trust, peer: Registered) -> tuple[bool, list[Registered]]:
        """Whether the certificate needs no registration, and those that it takes the place of. Raises Refused."""
        self._found(trust, peer.certificate)
        if trust.handed_over(peer):
            return True, []
        place = next((n for n, r in enumerate(trust.registered) if r.der == peer.der), None)
        before = trust.registered if place is None else trust.registered[place + 1 :]  # newest first
        return place is not None, [r for r in before if r.active and r.identity == peer.identity]

    def revoke(
        self,
        identity: SpiffeId,
        key: str,
        after_seq: int | None = None,
        epoch: bytes | None = None,
        unseen: bool = False,
    ) -> Revoked:
        """End the key of `identity` with the id that begins with `key`: at the port's present heads, or at `after_seq`.

        With `unseen`, one that the port has no certificate of, and an authority may have issued one for, named in full.
        Raises IdentityInvalid (no such key, or several), Permanent (an index before what was accepted).
        """
        now = round(self._clock.now().utc.timestamp() * 1e6)

        def write(db: apsw.Connection) -> Revoked:
            keys = {key_id(r.key) for r in read_trust(db).registered if r.identity == identity}
            found = {one for one in keys if one.startswith(key.lower())} if len(key) >= MIN_KEY_PREFIX else set()
            if keys and not found and re.fullmatch("[0-9a-f]{64}", key.lower()):
                if not unseen and key.lower() not in read_ended(db, str(identity)).get(str(identity), {}):
                    raise IdentityInvalid(
                        f"no certificate of {identity} with the key {key[:64]} was ever seen here: is it mistyped?",
                        "compare it with `port-gateway trust list`; if an authority issued it, revoke it with --unseen",
                    )
                found = {key.lower()}
            if len(found) != 1:
                raise IdentityInvalid(
                    f"{len(found)} keys of {identity} begin with {key[:64]!r}",
                    f"give the key id of `port-gateway trust list`, or at least {MIN_KEY_PREFIX} digits of it",
                )
            (which,) = found
            through = wanted_ends(chain_heads(db, str(identity)), identity, after_seq, epoch)
            end_key(db, str(identity), which, RefusalCode.KEY_REVOKED, through, now)
            closed = [r for r in read_trust(db).registered if r.identity == identity and key_id(r.key) == which]
            for one in closed:
                db.execute(
                    "UPDATE trust SET replaced_utc_us = ? WHERE certificate = ? AND replaced_utc_us IS NULL",
                    (now, one.der),
                )
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'")
            ends = read_ended(db, str(identity))[str(identity)][which]
            in_force = {key_id(r.key) for r in read_trust(db).registered if r.active and r.identity == identity}
            return Revoked(which, ends.through, len(closed), frozenset(in_force))

        return self._store.submit(write).result()


def read_trust(db: apsw.Connection) -> Trust:
    """Every registered certificate, in the transaction of `db`."""
    version = db.execute("SELECT value FROM meta WHERE key = 'trust_version'").get
    rows = db.execute("SELECT certificate, added_utc_us, replaced_utc_us FROM trust ORDER BY id DESC").fetchall()
    registered = []
    for der, added, replaced in rows:
        if not isinstance(der, bytes) or not isinstance(added, int):
            raise apsw.CorruptError("a registered certificate is not there")
        try:
            certificate, identity = _parsed(der)
            registered.append(Registered(identity, certificate, der, added, replaced is None))
        except ValueError as error:
            raise apsw.CorruptError(f"a registered certificate cannot be read: {error}") from None
    if not isinstance(version, int):
        raise apsw.CorruptError("the version of the registered certificates is not there")
    ports: dict[str, frozenset[str]] = {}
    for identity, port in db.execute("SELECT identity, port FROM readable_port"):
        ports[str(identity)] = ports.get(str(identity), frozenset()) | {str(port)}
    return Trust(version, tuple(registered), read_ended(db), ports)


def _names_itself(certificate: x509.Certificate) -> bool:
    try:
        return certificate.issuer == certificate.subject
    except CERTIFICATE_FAULTS:  # one that cannot be read whole is no anchor, and spoils none
        return False


@functools.lru_cache(maxsize=65_536)
def _parsed(der: bytes) -> tuple[x509.Certificate, SpiffeId]:
    """All are read at every change, and renewals add up."""
    certificate = x509.load_der_x509_certificate(der)
    return certificate, identity_of(certificate)


def register(db: apsw.Connection, certificate: x509.Certificate, now_us: int) -> None:
    """A booth's certificate from an authority, in place of those before it. Raises IdentityInvalid."""
    _add(db, certificate, True, now_us)
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'")


def _acceptable(certificate: x509.Certificate, now: datetime, authorities: Sequence[x509.Certificate]) -> None:
    identity = identity_of(certificate)
    if identity.role not in REGISTERED_ROLES:
        raise IdentityInvalid(f"{identity} is a {identity.role}", "register booths and back-offices only")
    certificate_key(certificate)
    if not _in_time(certificate, now):
        raise IdentityInvalid(
            f"the certificate of {identity} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
            f" to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, which is not now",
            "make a new one with `keys init`, or correct this machine's clock",
        )
    if issued_by(certificate, authorities):
        return
    try:
        certificate.verify_directly_issued_by(certificate)
        _ = certificate.subject
    except CERTIFICATE_FAULTS:
        raise IdentityInvalid(
            f"the certificate of {identity} is signed neither by its own key nor by an authority of the settings",
            "use the one that `keys init` made, or name the site's authority in `authorities`",
        ) from None


def _add(db: apsw.Connection, certificate: x509.Certificate, replace: bool, now_us: int) -> tuple[SpiffeId, bool]:
    identity, der = identity_of(certificate), certificate.public_bytes(serialization.Encoding.DER)
    active = [r for r in read_trust(db).registered if r.active]
    if any(r.der == der for r in active):
        return identity, False
    for other in active:
        if other.identity != identity and other.certificate.subject == certificate.subject:
            # TLS looks its anchors up by subject and tries only the first.
            raise IdentityInvalid(
                f"the subject {certificate.subject.rfc4514_string()!r} belongs to {other.identity} already",
                f"issue the certificate of {identity} with another subject",
            )
        if other.identity == identity and key_id(other.key) != key_id(certificate_key(certificate)) and not replace:
            raise IdentityInvalid(
                f"{identity} is registered with another key ({key_id(other.key)[:16]}…)",
                "if its machine was set up anew, add the certificate again with --replace",
            )
    db.execute(
        "UPDATE trust SET replaced_utc_us = ? WHERE identity = ? AND replaced_utc_us IS NULL", (now_us, str(identity))
    )
    if key_id(certificate_key(certificate)) in read_ended(db, str(identity)).get(str(identity), {}):
        raise IdentityInvalid(f"this key of {identity} was revoked or handed over", "make a new one with `keys init`")
    held = db.execute("SELECT count(*) FROM trust WHERE certificate = ?", (der,)).get
    if held:
        raise IdentityInvalid(f"this certificate of {identity} was replaced before", "make a new one with `keys init`")
    db.execute(
        "INSERT INTO trust (identity, role, certificate, added_utc_us) VALUES (?,?,?,?)",
        (str(identity), str(identity.role), der, now_us),
    )
    return identity, True


def _in_time(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
