// Reads a port from the beginning: every event verified, acknowledged, and said in a line. docs/wire.md, section 5.
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { call, connect, unary } from './grpc.mjs';
import { anchored, readCertificate, sha256 } from './identity.mjs';
import { ofThisChain, openNote, readNote } from './notes.mjs';
import { decode, writeBytes, writeNumber } from './protobuf.mjs';
import { Refused } from './refused.mjs';
import { listed } from './vectors.mjs';
import { EPOCH_BYTES, Lost, QUARANTINED, beginning, claimedEpoch, passDeleted, verifyLink, verifyNext } from './verify.mjs';

const ACK_EVERY = 256;

const counted = (count, thing) => `${count} ${thing}${count === 1 ? '' : 's'}`;

/** Returns the exit status. Throws what says that the port cannot be read. */
export async function subscribe(schema, options, print) {
  const session = await connect(options);
  const reader = new Reader(schema, session, options, print);
  try {
    await reader.learn();
    await reader.read();
    reader.checkNotes();
    print(`VERIFIED ${counted(reader.events, 'event')} of ${counted(reader.chains.size, 'chain')}`);
    return 0;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    print(`REFUSED ${error.code} ${reader.where}: ${error.message}`);
    return 1;
  } finally {
    session.destroy();
  }
}

class Reader {
  constructor(schema, session, options, print) {
    Object.assign(this, { schema, session, options, print, events: 0, cursor: 0n, where: 'before the first event' });
    this.anchors = options.anchor.flatMap((path) => pemCertificates(path));
    this.chains = new Map(); // `${booth}/${epoch}` -> chain
    this.unread = new Map(); // of events in quarantine: booth and digest -> {cursor, the chain before it}
    this.booths = new Map(); // booth -> {keys, ends}
    this.lost = new Map(); // by booth: what later epochs of it say that earlier ones lost
  }

  /** What the port lists: device keys, and those of them that ended. With anchors, only what they vouch for. */
  async learn() {
    const [answer] = await unary(this.session, 'SubscribeService/ListBooths', Buffer.alloc(0));
    const { booths } = decode(this.schema, 'ListBoothsResponse', answer);
    for (const booth of booths) {
      const read = booth.certificates.map((der) => listed(booth.booth_id, der));
      const trusted = this.anchors.length ? read.filter((each) => anchored(each, this.anchors)) : read;
      this.booths.set(booth.booth_id, { keys: new Map(trusted.map(({ key }) => [key.id, key])), ended: booth.ended_keys });
    }
    for (const chain of this.chains.values()) {
      const { keys, ended } = this.booths.get(chain.boothId) ?? { keys: new Map(), ended: [] };
      chain.deviceKeys = new Map([...keys, ...chain.deviceKeys]);
      const ends = new Map(chain.ends);
      for (const [id, end] of this.endsWithin(ended, chain.epoch)) {
        if (!ends.has(id) || end.through < ends.get(id).through) ends.set(id, end);
      }
      chain.ends = ends;
    }
  }

  endsWithin(ended, epoch) {
    return ended.map(({ key_id: id, code, epochs }) => {
      const name = this.schema.enums.get('RefusalCode').get(code)?.replace('REFUSAL_CODE_', '');
      if (!['KEY_REVOKED', 'KEY_RETIRED'].includes(name)) throw new Refused('PROTOCOL', `a key's end has the code ${code}`);
      return [id, { code: name, through: epochs.find((each) => each.epoch.equals(epoch))?.through_seq ?? 0n }];
    });
  }

  async read() {
    const { count, idle, booth } = this.options;
    const stream = call(this.session, 'SubscribeService/Subscribe');
    const ids = Buffer.concat(booth.map((id) => writeBytes(4, id)));
    stream.send(writeBytes(1, Buffer.concat([writeNumber(2, 0), ids]), true));
    let closing = false, timer = null;
    const close = () => {
      if (closing) return;
      closing = true;
      if (this.events) stream.send(writeBytes(2, writeNumber(1, this.cursor)));
      stream.halfClose();
    };
    const wait = () => {
      clearTimeout(timer);
      if (idle !== undefined && !closing) timer = setTimeout(close, Number(idle) * 1000);
    };
    try {
      wait();
      for await (const message of stream.messages) {
        if (closing) continue;
        clearTimeout(timer);
        await this.take(decode(this.schema, 'SubscribeResponse', message));
        if (this.events % ACK_EVERY === 0) stream.send(writeBytes(2, writeNumber(1, this.cursor)));
        if (count !== undefined && this.events >= Number(count)) close();
        wait();
      }
    } finally {
      clearTimeout(timer);
      stream.cancel();
    }
  }

  async take(response) {
    const { cursor, booth_id: boothId } = response;
    this.where = `at cursor ${cursor} of ${boothId}`;
    if (cursor <= this.cursor) throw new Refused('PROTOCOL', `cursor ${cursor} after ${this.cursor}`);
    let line;
    try {
      line = this.verify(response);
    } catch (error) {
      if (error.code !== 'UNKNOWN_KEY' && this.booths.has(boothId)) throw error;
      await this.learn(); // registered since this reader began
      line = this.verify(response);
    }
    this.cursor = cursor;
    this.events += 1;
    this.print(`${cursor} ${boothId} ${line.text}`);
    if (this.options.evidence && line.event) await this.fetch(line.event.evidence);
  }

  verify({ cursor, booth_id: boothId, envelope, quarantined, released_from: releasedFrom, deleted }) {
    const booth = this.booths.get(boothId);
    if (!booth) throw new Refused('NOT_TRUSTED', `${boothId} is no registered booth`);
    if (releasedFrom) {
      const passed = this.unread.get(unreadName(boothId, envelope));
      if (passed?.cursor !== releasedFrom) throw new Refused('PROTOCOL', `let out of quarantine, and it is not there at cursor ${releasedFrom}`);
      const { event, body } = verifyNext(this.schema, { ...passed.chain, leaves: [] }, envelope);
      this.unread.delete(unreadName(boothId, envelope)); // acted on once
      return { event, text: `${event.seq} ${body} ${event.id} let out of quarantine` };
    }
    const epoch = deleted ? deleted.epoch : claimedEpoch(this.schema, envelope, quarantined ? QUARANTINED : undefined);
    if (epoch.length !== EPOCH_BYTES) throw new Refused('WRONG_EPOCH', `an epoch of ${epoch.length} bytes`);
    const name = `${boothId}/${epoch.toString('hex')}`;
    const chain = this.chains.get(name) ?? beginning(boothId, epoch, booth.keys, new Map(this.endsWithin(booth.ended, epoch)));
    if (!this.lost.has(boothId)) this.lost.set(boothId, new Lost());
    const lost = this.lost.get(boothId);
    chain.missing = lost.of(epoch);
    if (deleted) {
      this.chains.set(name, passDeleted(chain, deleted));
      const day = new Date(Number(deleted.deleted_utc_us / 1000n));
      return { text: `${deleted.seq} deleted under retention on ${Number.isNaN(day.getTime()) ? 'no day' : day.toISOString()}` };
    }
    if (quarantined) {
      const code = this.schema.enums.get('RefusalCode').get(quarantined)?.replace('REFUSAL_CODE_', '');
      if (!['OVERSIZED', 'MALFORMED_EVENT'].includes(code)) throw new Refused('PROTOCOL', `in quarantine for the code ${quarantined}`);
      const { event, chain: after } = verifyLink(this.schema, chain, envelope);
      this.unread.set(unreadName(boothId, envelope), { cursor, chain });
      this.chains.set(name, after);
      return { text: `${event.seq} in quarantine: ${code}` };
    }
    const { event, body, chain: after } = verifyNext(this.schema, chain, envelope);
    this.chains.set(name, after);
    lost.add(event, body);
    const at = new Date(Number(event.at.utc_us / 1000n));
    return { event, text: `${event.seq} ${body} ${event.id} ${Number.isNaN(at.getTime()) ? 'at no time' : at.toISOString()}` };
  }

  /** Evidence by its digest, verified before it is written. */
  async fetch(references) {
    const folder = this.options.evidence;
    mkdirSync(folder, { recursive: true });
    for (const { kind, sha256: digest, size } of references) {
      const name = digest.toString('hex');
      try {
        const parts = await unary(this.session, 'SubscribeService/GetBlob', writeBytes(1, digest), 600);
        const bytes = Buffer.concat(parts.map((part) => decode(this.schema, 'GetBlobResponse', part).chunk));
        if (!sha256(bytes).equals(digest) || BigInt(bytes.length) !== size) throw new Refused('WRONG_EVIDENCE', `other bytes than ${name}`);
        writeFileSync(join(folder, name), bytes);
        this.print(`    ${kind} ${name} ${size} bytes`);
      } catch (error) {
        if (error.status !== 'NOT_FOUND') throw error;
        this.print(`    ${kind} ${name} has not arrived at the port`);
      }
    }
  }

  /** Checkpoints and receipts that came by another way: whether the port has shown us the chain that they sign. */
  checkNotes() {
    for (const path of this.options.note) {
      this.where = path;
      const note = readFileSync(path);
      const { origin, size, held } = readNote(note);
      const chain = this.chains.get(origin);
      if (!chain) throw new Refused('WRONG_ORIGIN', `${origin} was not read`);
      const [name, key] = held ? this.gateway() : [origin, chain.sessions.findLast((each) => each.seq <= size)?.key];
      if (!key) throw new Refused('NOTE_NOT_SIGNED', 'signed before the first session');
      ofThisChain(openNote(note, name, key), origin, chain.leaves, held !== null);
      this.print(`${path}: ${held ? `held at ${held.toISOString()} by ${name}` : 'signed by the booth'}, ${size} events`);
    }
  }

  gateway() {
    const [certificate] = pemCertificates(this.options.gateway);
    const { identity, key } = readCertificate(certificate.raw);
    return [identity, key];
  }
}

function unreadName(boothId, envelope) {
  return `${boothId}/${sha256(envelope).toString('hex')}`;
}

function pemCertificates(path) {
  const blocks = readFileSync(path, 'latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error(`${path}: no certificates in PEM form`);
  return blocks.map((block) => new X509Certificate(block));
}
