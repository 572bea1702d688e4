// A chain, envelope by envelope: the steps of docs/wire.md, section 4. No input or output.
import { publicKey, readCertificate, selfSigned, sha256, signedBy, Unusable } from './identity.mjs';
import { decode, Malformed, writeBytes } from './protobuf.mjs';
import { Refused } from './refused.mjs';

const PAYLOAD_TYPE = 'application/vnd.edge-agent.event.v1alpha1+protobuf';
const ROTATION_TYPE = 'application/vnd.edge-agent.key-rotation.v1alpha1';
const MAX_ENVELOPE = 131072, MAX_QUARANTINED = 262144, MAX_SIGNATURE = 128, MAX_CERTIFICATE = 8192;
export const EPOCH_BYTES = 16;
const MAX_GAP = 65536n;
const MAX_GAPS = 1000; // that one event may name
const MAX_GAPS_OF_BOOTH = 4000; // that count of all events of a booth, and the sequences in them
const MAX_MISSING_OF_BOOTH = 64n * MAX_GAP;
const DECIDING = ['session_opened', 'key_rotated'];

/**
 * The beginning of a chain. `deviceKeys`: Map(key id -> key) of all certificates that the booth ever had. `ends`:
 * Map(key id -> {code, through}) of those that ended. `leaves` collects SHA-256 of the envelopes, for checkpoints.
 * `missing`: [first, last] of what a later ledger of the booth says that this one lost.
 */
export function beginning(boothId, epoch, deviceKeys, ends = new Map()) {
  return { boothId, epoch, seq: 0n, sha256: Buffer.alloc(32), session: null, sessions: [], deviceKeys, ends, leaves: [], missing: [] };
}

/** The next event: {event, body, chain}; `chain` is the chain after it. Throws Refused. */
export function verifyNext(schema, chain, bytes) {
  const { payload, signature } = openEnvelope(schema, bytes, MAX_ENVELOPE); // step 1
  const { key, byDevice } = chooseKey(chain, signature.keyid); // step 2
  checkSignature(key, payload, signature.sig); // step 3
  const event = parseEvent(schema, payload); // step 4
  const body = bodyOf(schema, event);
  if (!event.seq || !event.id || !event.at || !body) {
    throw new Refused('MALFORMED_EVENT', 'an event has a sequence, an id, a time and a body');
  }
  if (event.evidence.some((ref) => ref.sha256.length !== 32)) throw new Refused('MALFORMED_EVENT', 'an evidence digest has 32 bytes');
  ofChain(chain, event);
  follows(chain, event); // steps 5 and 6
  const session = sessionAfter(chain, event, body, byDevice ? signature.keyid : null); // step 7
  stillCounts(chain, session, event.seq); // step 8
  const digest = sha256(bytes);
  fill(chain, event.seq);
  const after = moved(chain, event.seq, digest, session);
  if (body === 'session_opened') after.sessions = [...chain.sessions, { seq: event.seq, ...session }];
  if (body === 'key_rotated') handOver(after, chain, event, session); // step 9
  chain.leaves.push(digest);
  return { event, body, chain: after };
}

/** An event in quarantine: its signature and its place alone. {event, chain}; `event` has the link's fields. */
export function verifyLink(schema, chain, bytes) {
  const { payload, signature } = openEnvelope(schema, bytes, MAX_QUARANTINED);
  if (!chain.session || chain.session.key.id !== signature.keyid) throw new Refused('WRONG_SIGNER', 'not signed by the session key');
  checkSignature(chain.session.key, payload, signature.sig);
  const event = parseEvent(schema, payload, 'EventLink');
  if (event.previous_sha256.length !== 32) throw new Refused('MALFORMED_EVENT', 'it names no place in a chain');
  ofChain(chain, event);
  follows(chain, event);
  if (decides(schema, payload)) throw new Refused('MALFORMED_EVENT', 'it decides whose signatures count');
  stillCounts(chain, chain.session, event.seq);
  const digest = sha256(bytes);
  fill(chain, event.seq);
  chain.leaves.push(digest);
  return { event, chain: moved(chain, event.seq, digest, chain.session) };
}

/** The chain behind an event that the port deleted under retention: its place and digest are all that is left. */
export function passDeleted(chain, { seq, sha256: digest }) {
  if (digest.length !== 32) throw new Refused('PROTOCOL', `deleted, with a digest of ${digest.length} bytes`);
  if (!chain.session) throw new Refused('PROTOCOL', 'deleted, before a session was opened');
  follows(chain, { seq, previous_sha256: chain.sha256 });
  fill(chain, seq);
  chain.leaves.push(digest);
  return moved(chain, seq, digest, chain.session);
}

/** The epoch that an envelope claims, to choose the chain against which all of it is verified. */
export function claimedEpoch(schema, bytes, limit = MAX_ENVELOPE) {
  const { epoch } = parseEvent(schema, openEnvelope(schema, bytes, limit).payload, 'EventLink');
  if (epoch.length !== EPOCH_BYTES) throw new Refused('WRONG_EPOCH', `an epoch of ${epoch.length} bytes`);
  return epoch;
}

export const QUARANTINED = MAX_QUARANTINED;

function bodyOf(schema, event) {
  const bodies = [...schema.messages.get('Event').values()].filter((field) => field.oneof === 'body');
  return bodies.find((field) => event[field.name])?.name;
}

function openEnvelope(schema, bytes, limit) {
  if (bytes.length > limit) throw new Refused('OVERSIZED', `${bytes.length} bytes`);
  let envelope;
  try {
    envelope = decode(schema, 'Envelope', bytes);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new Refused('MALFORMED_ENVELOPE', error.message);
  }
  const { payload, payload_type: type, signatures } = envelope;
  if (signatures.length !== 1) throw new Refused('MALFORMED_ENVELOPE', `${signatures.length} signatures`);
  if (type !== PAYLOAD_TYPE) throw new Refused('WRONG_PAYLOAD_TYPE', JSON.stringify(type));
  const [signature] = signatures;
  const inner = Buffer.concat([writeBytes(1, signature.sig), writeBytes(2, signature.keyid)]);
  const form = Buffer.concat([writeBytes(1, payload), writeBytes(2, type), writeBytes(3, inner, true)]);
  if (!form.equals(bytes)) throw new Refused('MALFORMED_ENVELOPE', 'not written in the one form');
  return { payload, signature };
}

function chooseKey(chain, keyid) {
  if (chain.session?.key.id === keyid) return { key: chain.session.key, byDevice: false };
  if (chain.deviceKeys.has(keyid)) return { key: chain.deviceKeys.get(keyid), byDevice: true };
  throw new Refused('UNKNOWN_KEY', `no key of this booth has the id ${JSON.stringify(keyid.slice(0, 64))}`);
}

/** DSSE's pre-authentication encoding. Lengths count bytes. */
export function pae(type, payload) {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `), payload]);
}

function checkSignature(key, payload, sig) {
  if (sig.length > MAX_SIGNATURE || !signedBy(key, pae(PAYLOAD_TYPE, payload), sig)) {
    throw new Refused('BAD_SIGNATURE', 'the signature does not belong to these bytes and this key');
  }
}

function parseEvent(schema, payload, as = 'Event') {
  try {
    return decode(schema, as, payload);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new Refused('MALFORMED_EVENT', error.message);
  }
}

function ofChain(chain, event) {
  if (event.booth_id !== chain.boothId) throw new Refused('WRONG_BOOTH', JSON.stringify(event.booth_id.slice(0, 200)));
  if (!event.epoch.equals(chain.epoch)) throw new Refused('WRONG_EPOCH', event.epoch.toString('hex').slice(0, 64));
}

function follows(chain, event) {
  if (event.seq <= chain.seq) throw new Refused('REPLAYED', `sequence ${event.seq}, the chain stands at ${chain.seq}`);
  if (event.seq > chain.seq + 1n && mayPassOver(chain.missing, chain.seq + 1n, event.seq - 1n)) return;
  if (event.seq > chain.seq + 1n) throw new Refused('GAP', `sequence ${event.seq}, the chain stands at ${chain.seq}`);
  if (!event.previous_sha256.equals(chain.sha256)) throw new Refused('BROKEN_CHAIN', 'not the digest of the envelope before');
}

/** What the first event of an epoch says of the epochs that it replaces: [[epoch, [first, last], …]]. */
function declared(event, body) {
  if (event.seq !== 1n || body !== 'session_opened' || !event.session_opened.replaces) return [];
  const { epoch, missing, earlier } = event.session_opened.replaces;
  const gaps = missing.slice(0, MAX_GAPS).map((gap) => [gap.first_seq, gap.last_seq]);
  const said = [[epoch, gaps], ...earlier.slice(0, 16).map((each) => [each, []])];
  return said.filter(([each]) => each.length === EPOCH_BYTES && !each.equals(event.epoch));
}

/** What the events of one booth say of its epochs, in the order in which they come; what is too much does not count. */
export class Lost {
  constructor() {
    this.byEpoch = new Map(); // hex -> [[first, last], …]
    this.gaps = 0;
    this.sequences = 0n;
  }

  add(event, body) {
    for (const [epoch, gaps] of declared(event, body)) {
      const place = epoch.toString('hex');
      this.byEpoch.set(place, [...this.of(epoch), ...gaps.filter(([first, last]) => this.counts(first, last))]);
    }
  }

  of(epoch) {
    return this.byEpoch.get(epoch.toString('hex')) ?? [];
  }

  counts(first, last) {
    const width = last - first + 1n;
    if (width < 1n || width > MAX_GAP || this.gaps === MAX_GAPS_OF_BOOTH || this.sequences + width > MAX_MISSING_OF_BOOTH) return false;
    this.gaps += 1;
    this.sequences += width;
    return true;
  }
}

function mayPassOver(gaps, first, last) {
  if (last - first >= MAX_GAP) return false;
  for (const [begin, end] of [...gaps].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (begin <= first && first <= end) first = end + 1n;
  }
  return first > last;
}

function fill(chain, seq) {
  for (let missing = chain.seq + 1n; missing < seq; missing += 1n) chain.leaves.push(Buffer.alloc(32));
}

/** The session in force after the event, which is that in whose name it was signed. */
function sessionAfter(chain, event, body, deviceKeyId) {
  if (body !== 'session_opened') {
    if (deviceKeyId || !chain.session) throw new Refused('WRONG_SIGNER', 'signed by the device key, not by a session key');
    return chain.session;
  }
  if (!deviceKeyId) throw new Refused('WRONG_SIGNER', 'a session is opened by the device key alone');
  const key = usable(() => publicKey(event.session_opened.public_key));
  if (chain.deviceKeys.has(key.id)) throw new Refused('WRONG_SIGNER', 'a device key cannot be its own session key');
  return { key, deviceKeyId };
}

function usable(read) {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    throw new Refused('MALFORMED_EVENT', error.message);
  }
}

function stillCounts(chain, session, seq) {
  const end = chain.ends.get(session.deviceKeyId);
  if (end && seq > end.through) throw new Refused(end.code, `the device key counts through sequence ${end.through} only`);
}

function moved(chain, seq, digest, session) {
  return { ...chain, seq, sha256: digest, session };
}

function handOver(after, chain, event, session) {
  const { certificate: der, possession } = event.key_rotated;
  const old = session.deviceKeyId;
  const next = usable(() => {
    if (der.length > MAX_CERTIFICATE) throw new Unusable(`a certificate of ${der.length} bytes`);
    const read = readCertificate(der);
    if (!selfSigned(read)) throw new Unusable('a certificate that is not signed by its own key');
    return read;
  });
  if (next.identity !== chain.boothId) throw new Refused('WRONG_BOOTH', `the new certificate is that of ${next.identity}`);
  const { key } = next;
  if (key.id === old) throw new Refused('WRONG_SIGNER', 'a booth hands over to another key than its own');
  const said = [Buffer.from(chain.boothId), Buffer.from([0]), chain.epoch, Buffer.from(old, 'hex'), der];
  if (possession.length > MAX_SIGNATURE || !signedBy(key, pae(ROTATION_TYPE, Buffer.concat(said)), possession)) {
    throw new Refused('NOT_POSSESSED', 'the new key has not signed for this booth, epoch and old key');
  }
  const end = chain.ends.get(key.id);
  if (end && end.through < event.seq) throw new Refused(end.code, 'a booth does not hand over to a key that ended');
  if (key.id === session.key.id) throw new Refused('WRONG_SIGNER', "a session's key does not become a device key");
  after.deviceKeys = new Map(chain.deviceKeys).set(key.id, key);
  const ended = chain.ends.get(old);
  after.ends = new Map(chain.ends);
  if (!ended || ended.through > event.seq) after.ends.set(old, { code: 'KEY_RETIRED', through: event.seq });
}

// Its depth may be unreadable: the two bodies are looked for as bytes.
function decides(schema, payload) {
  const fields = [...schema.messages.get('Event')].filter(([, field]) => DECIDING.includes(field.name));
  const shallow = new Map(fields.map(([number, field]) => [number, { ...field, type: 'bytes', kind: 'scalar' }]));
  const found = decode({ messages: new Map([['Deciding', shallow]]) }, 'Deciding', payload);
  return DECIDING.some((name) => found[name]);
}
