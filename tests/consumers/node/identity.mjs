// Keys, certificates and names: docs/wire.md, section 1.
import { createHash, createPublicKey, verify, X509Certificate } from 'node:crypto';

const IDENTITY = /^spiffe:\/\/[a-z0-9-]{2,32}\/(booth|gateway|back-office)\/[a-z0-9-]{1,63}$/;
const P256_SPKI = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');

export const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

export class Unusable extends Error {}

/** A public key from its SubjectPublicKeyInfo in DER: {key, id, spki}. Throws Unusable unless P-256 or Ed25519. */
export function publicKey(der) {
  wholeDer(der);
  let key;
  try {
    key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch {
    throw new Unusable('no public key');
  }
  return accepted(key);
}

function accepted(key) {
  const { kty, crv, x, y } = ['ec', 'ed25519'].includes(key.asymmetricKeyType) ? jwk(key) : {};
  const raw = (text) => Buffer.from(text, 'base64url');
  let spki;
  if (kty === 'OKP' && crv === 'Ed25519') spki = Buffer.concat([ED25519_SPKI, raw(x)]);
  else if (kty === 'EC' && crv === 'P-256') spki = Buffer.concat([P256_SPKI, raw(x), raw(y)]);
  else throw new Unusable('a key of another kind than P-256 and Ed25519');
  return { key, spki, id: sha256(spki).toString('hex'), ed25519: kty === 'OKP', raw: kty === 'OKP' ? raw(x) : null };
}

function jwk(key) {
  try {
    return key.export({ format: 'jwk' });
  } catch {
    throw new Unusable('a key of another kind than P-256 and Ed25519');
  }
}

/** Whether `key` signed `message`: Ed25519, or ECDSA with SHA-256 in DER. */
export function signedBy({ key, ed25519 }, message, signature) {
  try {
    return verify(ed25519 ? null : 'sha256', message, key, signature);
  } catch {
    return false;
  }
}

/** A certificate in DER: {certificate, identity, key}; `key` as publicKey(). Throws Unusable. */
export function readCertificate(der) {
  wholeDer(der);
  let certificate, key;
  try {
    certificate = new X509Certificate(der);
    key = certificate.publicKey;
  } catch {
    throw new Unusable('no certificate');
  }
  const uris = uriNames(certificate.subjectAltName ?? '');
  if (uris.length !== 1) throw new Unusable(`a certificate with ${uris.length} URI names, there must be exactly one`);
  if (!IDENTITY.test(uris[0])) throw new Unusable(`${JSON.stringify(uris[0])} is no identity of this system`);
  return { certificate, identity: uris[0], key: accepted(key) };
}

/** Names stand as `URI:spiffe://…, DNS:…`; one with a comma or quotation mark in it stands as a JSON string. */
function uriNames(text) {
  const names = text.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g);
  return [...names].filter(([, kind]) => kind === 'URI').map(([, , name]) => (name[0] === '"' ? JSON.parse(name) : name));
}

/** Signed by its own key, under its own name. */
export function selfSigned({ certificate }) {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

/** One of the anchors, or issued by one of them. */
export function anchored({ certificate }, anchors) {
  const issued = (anchor) => anchor.ca && certificate.checkIssued(anchor) && certificate.verify(anchor.publicKey);
  return anchors.some((anchor) => anchor.raw.equals(certificate.raw) || issued(anchor));
}

// OpenSSL reads the first structure and says nothing of what follows it.
function wholeDer(der) {
  let length = der[1], head = 2;
  if (length > 0x80 && length <= 0x84) {
    head += length & 0x7f;
    length = der.length >= head ? der.readUIntBE(2, head - 2) : -1;
  }
  if (der[0] !== 0x30 || head + length !== der.length) throw new Unusable('not exactly one structure in DER');
}
