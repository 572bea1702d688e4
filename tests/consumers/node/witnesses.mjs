// Cosignatures of witnesses (C2SP tlog-cosignature, type 0x04): docs/wire.md, section 9.
import { publicKey, sha256, signedBy } from './identity.mjs';
import { signatureLines } from './notes.mjs';
import { Refused } from './refused.mjs';

const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex'), TYPE = 4;

/** A witness's verifier key, `<name>+<key id>+<base64>`: {name, hint, key}. */
export function verifierKey(text) {
  const [name, hint, ...rest] = text.split('+');
  const typed = Buffer.from(rest.join('+'), 'base64');
  const own = sha256(Buffer.from(`${name}\n`), typed).subarray(0, 4);
  if (typed.length !== 33 || typed[0] !== TYPE || own.toString('hex') !== hint) throw new Refused('NOTE_MALFORMED', 'no verifier key');
  return { name, hint: own, key: publicKey(Buffer.concat([ED25519_SPKI, typed.subarray(1)])) };
}

/** Who of `witnesses` cosigned this text, by name: the time in seconds since 1970, as a BigInt. Throws Refused. */
export function cosigners(text, lines, witnesses) {
  const found = new Map();
  for (const { name, blob } of signatureLines(lines)) {
    const witness = witnesses.find((each) => each.name === name && each.hint.equals(blob.subarray(0, 4)));
    if (!witness || found.has(name)) continue;
    const at = blob.length === 76 ? blob.readBigUInt64BE(4) : -1n;
    const signed = Buffer.concat([Buffer.from(`cosignature/v1\ntime ${at}\n`), text]);
    if (at < 0n || at >= 2n ** 63n || !signedBy(witness.key, signed, blob.subarray(12))) {
      throw new Refused('NOTE_BAD_SIGNATURE', `not by the key of ${name}`);
    }
    found.set(name, at);
  }
  return found;
}
