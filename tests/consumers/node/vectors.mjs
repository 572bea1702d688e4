// Runs every case of tests/vectors through this verifier: tests/vectors/README.md says how the files are read.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { publicKey, readCertificate, sha256, Unusable } from './identity.mjs';
import { ofThisChain, openNote, rootOf, verifyConsistency, verifyInclusion } from './notes.mjs';
import { decode } from './protobuf.mjs';
import { Refused } from './refused.mjs';
import { beginning, claimedEpoch, Lost, verifyLink, verifyNext } from './verify.mjs';
import { cosigners, verifierKey } from './witnesses.mjs';

const hex = (text) => Buffer.from(text, 'hex');
const whole = (written) => (typeof written === 'string' ? hex(written) : joined(written));
const joined = (parts) => Buffer.concat(parts.map(([part, times]) => repeated(hex(part), times)));
const repeated = (bytes, times) => Buffer.concat(Array(times).fill(bytes));

/** Prints a line a case, and returns how many there are and how many of them do not agree. */
export function runVectors(schema, folder, print) {
  const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  let cases = 0, wrong = 0;
  const check = (file, name, expected, run) => {
    const said = run() ?? null;
    const agrees = JSON.stringify(said) === JSON.stringify(expected ?? null);
    cases += 1;
    wrong += agrees ? 0 : 1;
    const but = agrees ? '' : ` instead of ${JSON.stringify(expected)}`;
    print(`${agrees ? 'ok   ' : 'WRONG'} ${file}  ${name}  ${JSON.stringify(said)}${but}`);
  };
  for (const file of ['envelopes.json', 'forgeries.json']) {
    const vectors = read(file);
    for (const one of vectors.cases) {
      check(file, one.name, [one.accepted, one.code, one.quarantine ?? false], () => envelopes(schema, vectors, one));
    }
  }
  const salvaged = read('gaps.json');
  for (const one of salvaged.cases) {
    check('gaps.json', one.name, [one.accepted, one.code, one.size ?? null, one.root ?? null], () => gaps(schema, salvaged, one));
  }
  const certificates = read('certificates.json');
  const coded = (file, name, code, run) => check(file, name, code, () => codeOf(run));
  for (const one of certificates.listed) {
    coded('certificates.json', one.name, one.code, () => listed(certificates.booth_id, hex(one.certificate)));
  }
  for (const one of certificates.shown) coded('certificates.json', one.name, one.code, () => shown(certificates.registered, one));
  cosigned(read('cosignatures.json'), check);
  trees(read('checkpoints.json'), check, (name, code, run) => coded('checkpoints.json', name, code, run));
  return { cases, wrong };
}

function cosigned(vectors, check) {
  const note = Buffer.from(vectors.note), text = note.subarray(0, note.lastIndexOf('\n\n') + 1);
  const witnesses = vectors.witnesses.map(verifierKey);
  const names = (by) => Object.keys(by).sort();
  for (const one of vectors.cosignatures) {
    check('cosignatures.json', one.name, one.fault ?? names(one.by), () => {
      let found = null;
      const code = codeOf(() => {
        found = cosigners(text, Buffer.from(one.lines), witnesses);
      });
      if (code !== null) return code;
      // A time beyond 2^53 is no exact number in JSON as JavaScript reads it.
      const times = [...found].every(([name, at]) => Number(at) === one.by[name]);
      return times ? [...found.keys()].sort() : 'another time';
    });
  }
}

function trees(vectors, check, coded) {
  const leaves = vectors.envelope_sha256.map(hex), roots = vectors.roots.map(hex);
  const inclusion = (one, leaf, root) => verifyInclusion(leaf, one.index, one.size, one.proof.map(hex), root);
  const consistency = (one, older, newer) => verifyConsistency(one.older, one.newer, older, newer, one.proof.map(hex));
  roots.forEach((root, size) => {
    check('checkpoints.json', `the root at ${size}`, true, () => rootOf(leaves.slice(0, size)).equals(root));
  });
  for (const one of vectors.notes) coded(one.name, one.fault, () => note(vectors, leaves, one));
  for (const one of vectors.inclusion) {
    coded(`leaf ${one.index} of ${one.size}`, null, () => inclusion(one, leaves[one.index], roots[one.size]));
  }
  for (const one of vectors.consistency) {
    coded(`${one.older} to ${one.newer}`, null, () => consistency(one, roots[one.older], roots[one.newer]));
  }
  for (const one of vectors.forged_inclusion) {
    coded(one.name, one.fault, () => inclusion(one, hex(one.envelope_sha256), hex(one.root)));
  }
  for (const one of vectors.forged_consistency) {
    coded(one.name, one.fault, () => consistency(one, hex(one.older_root), hex(one.newer_root)));
  }
}

function codeOf(run) {
  try {
    run();
    return null;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return error.code;
  }
}

/** How many verify, the code of the refusal, and whether the refused one may be kept in quarantine. */
function envelopes(schema, vectors, one) {
  const { key } = readCertificate(hex(vectors.certificate));
  const epoch = hex(vectors.epoch);
  const ends = new Map((one.ended_keys ?? []).map((ended) => [ended.key_id, endWithin(ended, vectors.epoch)]));
  let chain = beginning(vectors.booth_id, epoch, new Map([[key.id, key]]), ends);
  const all = one.envelopes.map(whole);
  all[all.length - 1] = repeated(all.at(-1), one.repeat_last ?? 1);
  const held = [];
  for (const envelope of all) {
    try {
      chain = verifyNext(schema, chain, envelope).chain;
      held.push(sha256(envelope));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const seq = error.code === 'REPLAYED' ? Number(decode(schema, 'Event', decode(schema, 'Envelope', envelope).payload).seq) : 0;
      const code = seq && !held[seq - 1].equals(sha256(envelope)) ? 'FORK' : error.code;
      const content = ['OVERSIZED', 'MALFORMED_EVENT'].includes(code);
      return [held.length, code, content && codeOf(() => verifyLink(schema, chain, envelope)) === null];
    }
  }
  return [held.length, null, false];
}

/** How many verify, the code of the refusal, and the tree of the damaged ledger's chain. */
function gaps(schema, vectors, one) {
  const { key } = readCertificate(hex(vectors.certificate));
  const chains = new Map(), lost = new Lost();
  let accepted = 0;
  for (const envelope of one.envelopes.map(hex)) {
    const epoch = claimedEpoch(schema, envelope), name = epoch.toString('hex');
    const before = chains.get(name) ?? beginning(vectors.booth_id, epoch, new Map([[key.id, key]]), new Map());
    try {
      const { event, body, chain } = verifyNext(schema, { ...before, missing: lost.of(epoch) }, envelope);
      chains.set(name, chain);
      lost.add(event, body);
      accepted += 1;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return [accepted, error.code, null, null];
    }
  }
  const { leaves } = chains.get(vectors.epoch);
  return [accepted, null, leaves.length, rootOf(leaves).toString('hex')];
}

function endWithin(ended, epoch) {
  const here = ended.epochs.find((each) => each.epoch === epoch);
  return { code: ended.code, through: BigInt(here?.through_seq ?? 0) };
}

/** A certificate that ListBooths gives for a booth: its device key. */
export function listed(boothId, der) {
  try {
    const read = readCertificate(der);
    if (read.identity === boothId) return read;
    throw new Unusable(`it is that of ${read.identity}`);
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    throw new Refused('NOT_TRUSTED', `a certificate listed for ${boothId}: ${error.message}`);
  }
}

function shown(registered, one) {
  const refuse = (code, why) => {
    throw new Refused(code, why);
  };
  const known = registered.find((each) => each.certificate === one.certificate) ?? refuse('NOT_TRUSTED', 'not registered');
  if (known.state === 'revoked') refuse('KEY_REVOKED', 'its key was revoked');
  if (known.state !== 'in force') refuse('NOT_TRUSTED', known.state);
  const { certificate, identity } = readCertificate(hex(one.certificate));
  const at = new Date(one.at);
  if (at < new Date(certificate.validFrom) || at > new Date(certificate.validTo)) refuse('NOT_TRUSTED', 'not valid at this time');
  if (!identity.includes('/booth/') || identity !== one.hello) refuse('NOT_TRUSTED', 'of another party');
}

function note(vectors, leaves, one) {
  const signer = vectors.keys[one.signer];
  const opened = openNote(Buffer.from(one.note), signer.name, publicKey(hex(signer.spki)));
  ofThisChain(opened, vectors.origin, leaves, one.signer === 'gateway');
}
