// Merkle trees (RFC 6962), checkpoints and receipts (C2SP signed notes): docs/wire.md, section 8.
import { sha256, signedBy } from './identity.mjs';
import { Refused } from './refused.mjs';

const MAX_NOTE = 4096, DASH = '\u2014';
const leafHash = (envelopeSha256) => sha256(Buffer.from([0]), envelopeSha256);
const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);

/** The root over SHA-256 of envelopes. */
export function rootOf(envelopeSha256s) {
  if (envelopeSha256s.length === 0) return sha256(Buffer.alloc(0));
  const peaks = [];
  envelopeSha256s.forEach((digest, index) => {
    let node = leafHash(digest);
    for (let position = index; position % 2 === 1; position = (position - 1) / 2) node = nodeHash(peaks.pop(), node);
    peaks.push(node);
  });
  return peaks.reduceRight((root, peak) => nodeHash(peak, root));
}

/** Throws Refused unless the leaf is in the tree. */
export function verifyInclusion(envelopeSha256, index, size, proof, root) {
  if (!(index >= 0 && index < size)) throw new Refused('PROOF_NO_LEAF', `a tree of ${size} leaves has none with index ${index}`);
  let node = leafHash(envelopeSha256);
  climb(index, size, proof, (sibling, fromLeft) => {
    node = fromLeft ? nodeHash(sibling, node) : nodeHash(node, sibling);
  });
  if (!node.equals(root)) throw new Refused('PROOF_WRONG_ROOT', 'the leaf does not lead to this root');
}

/** Throws Refused unless the tree of `newer` leaves begins with that of `older`. */
export function verifyConsistency(older, newer, olderRoot, newerRoot, proof) {
  if (!(older > 0 && older <= newer)) throw new Refused('PROOF_NO_LEAF', `no proof leads from ${older} leaves to ${newer}`);
  if (older === newer) {
    if (proof.length > 0 || !olderRoot.equals(newerRoot)) throw new Refused('PROOF_WRONG_ROOT', `two roots for ${older} leaves`);
    return;
  }
  let position = older - 1, last = newer - 1;
  for (; position % 2 === 1; position = (position - 1) / 2) last = Math.floor(last / 2);
  // Where the older tree is one complete subtree, its root is not told again.
  const path = Number.isInteger(Math.log2(older)) ? [olderRoot, ...proof] : proof;
  if (path.length === 0) throw new Refused('PROOF_LENGTH', 'the proof is too short');
  let before = path[0], after = path[0];
  climb(position, last + 1, path.slice(1), (sibling, fromLeft) => {
    if (fromLeft) before = nodeHash(sibling, before);
    after = fromLeft ? nodeHash(sibling, after) : nodeHash(after, sibling);
  });
  const begins = before.equals(olderRoot) && after.equals(newerRoot);
  if (!begins) throw new Refused('PROOF_WRONG_ROOT', 'the newer tree does not begin with the older');
}

/** From a node up to the root, with each sibling and whether it stands to the left. */
function climb(index, size, proof, step) {
  let position = index, last = size - 1;
  for (const sibling of proof) {
    if (last === 0) throw new Refused('PROOF_LENGTH', 'the proof is too long');
    const fromLeft = position % 2 === 1 || position === last;
    step(sibling, fromLeft);
    // A last node without a sibling goes up as it is.
    if (fromLeft) for (; position % 2 === 0 && position > 0; position /= 2) last = Math.floor(last / 2);
    position = Math.floor(position / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0) throw new Refused('PROOF_LENGTH', 'the proof is too short');
}

/** The checkpoint that `key` has signed as `name`: {origin, size, root, held}. Throws Refused. */
export function openNote(note, name, key) {
  if (note.length > MAX_NOTE) throw new Refused('NOTE_OVERSIZED', `${note.length} bytes`);
  const cut = note.lastIndexOf('\n\n');
  if (cut < 0 || note.at(-1) !== 10) throw malformed('no signatures after a blank line');
  const text = note.subarray(0, cut + 1);
  const signatures = signatureLines(note.subarray(cut + 2));
  const hint = key.ed25519 ? sha256(Buffer.from(`${name}\n\x01`), key.raw) : sha256(key.spki);
  const mine = signatures.find((each) => each.name === name && each.blob.subarray(0, 4).equals(hint.subarray(0, 4)));
  if (!mine) throw new Refused('NOTE_NOT_SIGNED', `not signed by ${name}`);
  if (!signedBy(key, text, mine.blob.subarray(4))) throw new Refused('NOTE_BAD_SIGNATURE', `not by the key of ${name}`);
  return readText(text);
}

/** Name and signature, key id first, of each line. */
export const signatureLines = (bytes) => lines(bytes).map(readSignature);

/** The checkpoint in a note, whoever has signed it. */
export function readNote(note) {
  return readText(note.subarray(0, note.lastIndexOf('\n\n') + 1));
}

function lines(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).split('\n').slice(0, -1);
  } catch {
    throw malformed('not UTF-8');
  }
}

function readSignature(line) {
  const [dash, name, encoded, ...more] = line.split(' ');
  const blob = base64(encoded ?? '');
  if (dash !== DASH || !name || more.length > 0 || !blob || blob.length < 5) throw malformed('a line that is no signature');
  return { name, blob };
}

/** The bytes, or null unless written in base64's one form. */
function base64(text) {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

function readText(text) {
  const [origin, size, root, ...more] = lines(text);
  const digest = base64(root ?? '');
  if (!origin || !/^(0|[1-9][0-9]{0,18})$/.test(size ?? '') || digest?.length !== 32) throw malformed('not origin, size and root');
  return { origin, size: BigInt(size), root: digest, held: readHeld(more) };
}

function readHeld(more) {
  if (more.length === 0) return null;
  const [, time] = /^held (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$/.exec(more[0]) ?? [];
  const held = new Date(time ?? NaN);
  const exists = !Number.isNaN(held.getTime()) && held.toISOString().replace('.000', '') === time;
  if (more.length > 1 || !exists) throw malformed('a fourth line that is no time');
  return held;
}

const malformed = (detail) => new Refused('NOTE_MALFORMED', detail);

/** Throws Refused unless an opened note is of this chain: `leaves` are SHA-256 of all envelopes that were read of it. */
export function ofThisChain(checkpoint, origin, leaves, isReceipt) {
  if (checkpoint.origin !== origin) throw new Refused('WRONG_ORIGIN', checkpoint.origin);
  if ((checkpoint.held !== null) !== isReceipt) throw new Refused('WRONG_KIND', 'a receipt says since when, a checkpoint does not');
  if (checkpoint.size > BigInt(leaves.length)) throw new Refused('GAP', `signed for ${checkpoint.size} events, ${leaves.length} came`);
  if (!checkpoint.root.equals(rootOf(leaves.slice(0, Number(checkpoint.size))))) throw new Refused('FORK', 'signed for other events');
}
