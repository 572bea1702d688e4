"""A device key that never leaves its hardware token, through PKCS#11 (SoftHSM2, tpm2-pkcs11, YubiHSM, smart cards).

PKCS#11 knows one login a process and token: `_Token` holds it for every key there. A PIN that was refused once is not
tried again in this process, since tokens lock themselves after a few wrong ones.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edge_agent.domain.errors import IdentityInvalid, Recoverable
from edge_agent.ledger.pkcs11_uri import KeyUri
from edge_agent.ledger.secrets import read_secret
from edge_agent.wire.identity import key_id

if TYPE_CHECKING:
    from pkcs11.types import Session, Token

T = TypeVar("T")
P256_OID = bytes.fromhex("06082a8648ce3d030107")  # prime256v1 in DER, as CKA_EC_PARAMS has it
_SCALAR_BYTES = 32


class TokenUnavailable(Recoverable):
    """The hardware token with the device key is not there, or does not answer."""


class PinRefused(IdentityInvalid):
    """The hardware token refused the PIN."""


class TokenKey:
    """A P-256 key in a token. From any thread."""

    def __init__(self, token: "_Token", uri: KeyUri, wanted: str | None) -> None:
        self._token, self._uri = token, uri
        self._found: tuple[Session, Any] | None = None
        self.public_key = token.use(lambda session: _choose(session, uri, wanted)[1])
        self.key_id = key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256 in DER. Raises TokenUnavailable, PinRefused."""
        digest = hashlib.sha256(message).digest()

        def signed(session: "Session") -> bytes:
            from pkcs11 import Mechanism

            if self._found is None or self._found[0] is not session:
                self._found = session, _choose(session, self._uri, self.key_id)[0]
            return bytes(self._found[1].sign(digest, mechanism=Mechanism.ECDSA))

        raw = self._token.use(signed)
        r, s = raw[:_SCALAR_BYTES], raw[_SCALAR_BYTES:]
        return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))

    def pem(self) -> bytes | None:
        """None: such a key cannot be read."""
        return None


def open_token_key(uri: KeyUri, wanted: str | None = None) -> TokenKey:
    """The key that `uri` names; `wanted` is its key id, which chooses among several with one label.

    Raises IdentityInvalid (PinRefused among it), TokenUnavailable.
    """
    return TokenKey(_token(uri), uri, wanted)


def make_token_key(uri: KeyUri, another: bool = False) -> tuple[TokenKey, bool]:
    """The key that `uri` names, made in the token where it stays unless it is there; and whether it was made.

    With `another` a key of the same name is made beside it. Raises IdentityInvalid, TokenUnavailable.
    """
    from pkcs11 import Attribute, KeyType, MechanismFlag
    from pkcs11.util.ec import encode_named_curve_parameters

    def make(session: "Session") -> str | None:
        if not another and _objects(session, _template(uri)):
            return None
        parameters = session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
        )
        public, _ = parameters.generate_keypair(
            store=True,
            label=uri.object or "device",
            id=uri.id if uri.id is not None and not another else os.urandom(8),
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        )
        return key_id(_point(public[Attribute.EC_PARAMS], public[Attribute.EC_POINT]))

    token = _token(uri)
    made = token.use(make, writing=True)
    return TokenKey(token, uri, made), made is not None


class _Token:
    """One login to one token."""

    def __init__(self, uri: KeyUri) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._writes = False
        self._opened_in = 0
        self._refused: PinRefused | None = None

    def use(self, work: "Callable[[Session], T]", writing: bool = False) -> T:
        """`work` with a session; once more with a new one if the token was pulled out and put back meanwhile."""
        from pkcs11.exceptions import PKCS11Error

        with self._lock:
            failure: PKCS11Error | None = None
            for anew in (False, True):
                try:
                    return work(self._open(writing, anew))
                except PKCS11Error as error:
                    failure = error
                    self._forget()
            raise TokenUnavailable(
                f"{self._uri.where} does not answer: {type(failure).__name__} {failure}".rstrip(), _PUT_BACK
            )

    def _open(self, writing: bool, anew: bool) -> "Session":
        from pkcs11.exceptions import PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked, UserAlreadyLoggedIn

        if self._refused is not None:
            raise self._refused
        if self._opened_in != _generation[0]:
            self._session = None
        if self._session is not None and writing and not self._writes:
            self._forget()
        if self._session is None:
            pin = read_secret(self._uri.pin_file, "the token's PIN").decode(errors="replace")
            try:
                token = self._find(anew)
                try:
                    self._session = token.open(rw=writing, user_pin=pin)
                except UserAlreadyLoggedIn:  # by another URI of the same token: the login is the process's
                    self._session = token.open(rw=writing)
                self._writes, self._opened_in = writing, _generation[0]
            except PinLocked:
                self._refused = PinRefused(
                    f"{self._uri.where} has locked its PIN after too many wrong ones",
                    "set a new one with the token's own tool and its SO PIN, then start again",
                )
                raise self._refused from None
            except (PinIncorrect, PinInvalid, PinLenRange, PinExpired) as error:
                self._refused = PinRefused(
                    f"{self._uri.where} refused the PIN in {self._uri.pin_file} ({type(error).__name__})",
                    "correct the file, then start again; it is not tried a second time, since tokens lock themselves",
                )
                raise self._refused from None
        return self._session

    def _find(self, anew: bool) -> "Token":
        import pkcs11
        from pkcs11.exceptions import PKCS11Error

        try:
            library = pkcs11.lib(str(self._uri.module))
        except PKCS11Error as error:
            raise IdentityInvalid(
                f"{self._uri.module}: no PKCS#11 library: {error}",
                "install the token's library, or correct module-path",
            ) from None
        found = [] if anew else [token for token in library.get_tokens() if self._is(token)]
        if not found:
            look_again(library)
            found = [token for token in library.get_tokens() if self._is(token)]
        if len(found) > 1:
            raise IdentityInvalid(f"{len(found)} tokens answer to {self._uri.where}", "name serial= in the URI as well")
        if not found:
            raise TokenUnavailable(f"{self._uri.where} is not there", _PUT_BACK)
        return found[0]

    def _is(self, token: "Token") -> bool:
        serial = token.serial.decode(errors="replace").strip()
        return self._uri.token in (None, token.label) and self._uri.serial in (None, serial)

    def _forget(self) -> None:
        from pkcs11.exceptions import PKCS11Error

        session, self._session = self._session, None
        try:
            if session is not None:
                session.close()
        except PKCS11Error:
            return


def look_again(library: Any) -> None:
    """Some libraries look for tokens only when they begin. Every session ends by it, and opens again when used."""
    _generation[0] += 1
    library.reinitialize()


_generation = [0]
_PUT_BACK = (
    "put it back, and start again if this ended: it is needed for every session and whenever the port is dialled"
)
_tokens: dict[tuple[object, ...], _Token] = {}
_tokens_lock = threading.Lock()


def _token(uri: KeyUri) -> _Token:
    try:
        import pkcs11  # noqa: F401 - is it installed?
    except ModuleNotFoundError:
        raise IdentityInvalid(
            "a key in a hardware token needs python-pkcs11, which is not installed", "pip install 'edge-agent[hsm]'"
        ) from None
    with _tokens_lock:
        return _tokens.setdefault((uri.module, uri.token, uri.serial, uri.pin_file), _Token(uri))


def _template(uri: KeyUri) -> dict[Any, Any]:
    from pkcs11 import Attribute, ObjectClass

    named = {Attribute.LABEL: uri.object, Attribute.ID: uri.id}
    return {Attribute.CLASS: ObjectClass.PRIVATE_KEY} | {k: v for k, v in named.items() if v is not None}


def _objects(session: "Session", template: dict[Any, Any]) -> list[Any]:
    return list(session.get_objects(template))  # to its end: a search that stays open blocks the session


def _choose(session: "Session", uri: KeyUri, wanted: str | None) -> tuple[Any, ec.EllipticCurvePublicKey]:
    """The private key that `uri` names, and its public key."""
    found = [(key, _public(session, key, uri)) for key in _objects(session, _template(uri))]
    if wanted is not None and found:
        found = [(key, public) for key, public in found if key_id(public) == wanted]
        if not found:
            raise IdentityInvalid(
                f"no key {uri.which} in {uri.where} belongs to the certificate", "give the certificate of that key"
            )
    if not found:
        raise IdentityInvalid(
            f"{uri.where} holds no private key {uri.which}",
            "make one with `edge-agent keys init --signer`, or correct object= or id=",
        )
    if len(found) > 1:
        raise IdentityInvalid(f"{len(found)} keys in {uri.where} are named {uri.which}", "name id= in the URI as well")
    return found[0]


def _public(session: "Session", key: Any, uri: KeyUri) -> ec.EllipticCurvePublicKey:
    from pkcs11 import Attribute, KeyType, ObjectClass

    if key.key_type is not KeyType.EC:
        raise IdentityInvalid(f"the key {uri.which} in {uri.where} is no P-256 key", "make one with `keys init`")
    same = {Attribute.ID: key[Attribute.ID]}
    for public in _objects(session, {Attribute.CLASS: ObjectClass.PUBLIC_KEY} | same):
        return _point(public[Attribute.EC_PARAMS], public[Attribute.EC_POINT])
    for certificate in _objects(session, {Attribute.CLASS: ObjectClass.CERTIFICATE} | same):
        held = x509.load_der_x509_certificate(certificate[Attribute.VALUE]).public_key()
        if isinstance(held, ec.EllipticCurvePublicKey) and isinstance(held.curve, ec.SECP256R1):
            return held
    raise IdentityInvalid(
        f"{uri.where} holds neither the public key nor a certificate beside the key {uri.which}",
        "store the public key under the same CKA_ID, as the token's own key generation does",
    )


def _point(parameters: bytes, point: bytes) -> ec.EllipticCurvePublicKey:
    if parameters != P256_OID:
        raise IdentityInvalid("the key in the token is on another curve than P-256", "make one with `keys init`")
    raw = point[2:] if len(point) == 67 else point  # CKA_EC_POINT is an OCTET STRING; some tokens leave that out
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
