// Protocol Buffers, as far as this protocol uses them: messages are read from the .proto files, so that every string is
// checked and every field has its name. 64-bit numbers are BigInt, bytes are Buffer, absent messages are undefined.
import { readFileSync } from 'node:fs';

const VARINT = 0, FIXED64 = 1, LENGTH = 2, GROUP = 3, END_GROUP = 4, FIXED32 = 5;
const SCALARS = {
  bool: VARINT, uint32: VARINT, int32: VARINT, uint64: VARINT, int64: VARINT, double: FIXED64, fixed64: FIXED64, string: LENGTH, bytes: LENGTH,
};
const MAX_DEPTH = 100;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Malformed extends Error {}

// --- schema -----------------------------------------------------------------------------------------------------------

/** The messages and enums of .proto files: name -> Map(number -> field), name -> Map(number -> word). */
export function readSchema(paths) {
  const messages = new Map(), enums = new Map();
  for (const path of paths) parseProto(readFileSync(path, 'utf8'), messages, enums);
  for (const fields of messages.values()) {
    for (const field of fields.values()) {
      if (enums.has(field.type)) field.kind = 'enum';
      else if (messages.has(field.type)) field.kind = 'message';
      else if (field.type in SCALARS) field.kind = 'scalar';
      else throw new Error(`the type ${field.type} is not known`);
      field.wire = field.kind === 'enum' ? VARINT : field.kind === 'message' ? LENGTH : SCALARS[field.type];
    }
  }
  return { messages, enums };
}

function parseProto(text, messages, enums) {
  let fields = null, words = null, oneof = null;
  for (const raw of text.split('\n')) {
    const line = raw.replace(/\/\/.*/, '').trim();
    let match;
    if ((match = /^message (\w+) \{(\})?$/.exec(line))) {
      messages.set(match[1], (fields = new Map()));
      if (match[2]) fields = null;
    } else if ((match = /^enum (\w+) \{$/.exec(line))) enums.set(match[1], (words = new Map()));
    else if ((match = /^oneof (\w+) \{$/.exec(line))) oneof = match[1];
    else if (line === '}') {
      if (oneof) oneof = null;
      else fields = words = null;
    } else if (words && (match = /^(\w+) = (\d+);$/.exec(line))) words.set(Number(match[2]), match[1]);
    else if (fields && (match = /^(repeated |optional )?(\w+) (\w+) = (\d+);$/.exec(line))) {
      const [, label = '', type, name, number] = match;
      fields.set(Number(number), { name, type, oneof, repeated: label === 'repeated ', optional: label === 'optional ' });
    }
  }
}

// --- reading ----------------------------------------------------------------------------------------------------------

/** The message of that name in `bytes`. Throws Malformed. The member of a oneof that is there stands under its name. */
export function decode(schema, name, bytes) {
  return into(schema, schema.messages.get(name), {}, bytes, 0);
}

function into(schema, fields, message, bytes, depth) {
  if (depth > MAX_DEPTH) throw new Malformed('too deep');
  for (const field of fields.values()) {
    if (field.repeated) message[field.name] ??= [];
    else if (field.kind !== 'message' && !field.optional && !field.oneof) message[field.name] ??= empty(field);
  }
  let at = 0;
  while (at < bytes.length) {
    const [number, wire, after] = tag(bytes, at);
    const field = fields.get(number);
    const packed = field?.repeated && field.wire !== LENGTH && wire === LENGTH;
    if (!field || (field.wire !== wire && !packed)) at = skip(bytes, number, wire, after, depth);
    else if (packed) {
      const [part, end] = chunk(bytes, after);
      for (let inner = 0, value; inner < part.length; message[field.name].push(value)) [value, inner] = scalar(field, part, inner);
      at = end;
    } else if (field.kind === 'message') {
      const [part, end] = chunk(bytes, after);
      const before = field.repeated ? {} : (message[field.name] ?? {});
      put(fields, message, field, into(schema, schema.messages.get(field.type), before, part, depth + 1));
      at = end;
    } else {
      const [value, end] = scalar(field, bytes, after);
      put(fields, message, field, value);
      at = end;
    }
  }
  return message;
}

function put(fields, message, field, value) {
  if (field.repeated) message[field.name].push(value);
  else {
    if (field.oneof) for (const other of fields.values()) if (other.oneof === field.oneof) delete message[other.name];
    message[field.name] = value;
  }
}

function empty(field) {
  if (field.type === 'string') return '';
  if (field.type === 'bytes') return Buffer.alloc(0);
  if (field.type === 'bool') return false;
  return field.type.endsWith('64') ? 0n : 0;
}

function scalar(field, bytes, at) {
  if (field.wire === LENGTH) {
    const [part, end] = chunk(bytes, at);
    if (field.type === 'bytes') return [part, end];
    try {
      return [utf8.decode(part), end];
    } catch {
      throw new Malformed(`${field.name} is no UTF-8`);
    }
  }
  if (field.wire === FIXED64) {
    if (at + 8 > bytes.length) throw new Malformed('cut off');
    return [field.type === 'double' ? bytes.readDoubleLE(at) : bytes.readBigUInt64LE(at), at + 8];
  }
  const [value, end] = varint(bytes, at);
  if (field.type === 'bool') return [value !== 0n, end];
  if (field.type === 'uint64') return [value, end];
  if (field.type === 'int64') return [BigInt.asIntN(64, value), end];
  return [Number(field.type === 'uint32' ? BigInt.asUintN(32, value) : BigInt.asIntN(32, value)), end];
}

/** A number, and the place after it. */
function varint(bytes, at) {
  let value = 0n;
  for (let many = 0; many < 10; many++, at++) {
    if (at >= bytes.length) throw new Malformed('cut off');
    value |= BigInt(bytes[at] & 0x7f) << BigInt(7 * many);
    if (bytes[at] < 0x80) return [BigInt.asUintN(64, value), at + 1];
  }
  throw new Malformed('a number of more than ten bytes');
}

function tag(bytes, at) {
  const [value, after] = varint(bytes, at);
  const number = Number(value >> 3n), wire = Number(value & 7n);
  if (number === 0 || value > 0xffffffffn) throw new Malformed('no field number');
  return [number, wire, after];
}

function chunk(bytes, at) {
  const [length, after] = varint(bytes, at);
  if (length > BigInt(bytes.length - after)) throw new Malformed('cut off');
  const end = after + Number(length);
  return [bytes.subarray(after, end), end];
}

function skip(bytes, number, wire, at, depth) {
  if (wire === VARINT) return varint(bytes, at)[1];
  if (wire === LENGTH) return chunk(bytes, at)[1];
  if (wire === GROUP) {
    if (depth > MAX_DEPTH) throw new Malformed('too deep');
    while (at < bytes.length) {
      const [inner, kind, after] = tag(bytes, at);
      if (kind === END_GROUP) {
        if (inner !== number) throw new Malformed('a group that does not end');
        return after;
      }
      at = skip(bytes, inner, kind, after, depth + 1);
    }
    throw new Malformed('a group that does not end');
  }
  const size = wire === FIXED64 ? 8 : wire === FIXED32 ? 4 : 0;
  if (size === 0 || at + size > bytes.length) throw new Malformed('cut off, or of no kind');
  return at + size;
}

// --- writing ----------------------------------------------------------------------------------------------------------

/** Bytes of a number. */
export function writeVarint(value) {
  const out = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 0x80n) return Buffer.from([...out, Number(rest)]);
    out.push(Number(rest & 0x7fn) | 0x80);
  }
}

/** A field of bytes or text, or a message's bytes; nothing where it is empty and `always` is not given. */
export function writeBytes(number, value, always = false) {
  const bytes = Buffer.from(value);
  if (bytes.length === 0 && !always) return bytes;
  return Buffer.concat([writeVarint((number << 3) | LENGTH), writeVarint(bytes.length), bytes]);
}

/** A field with a number. */
export function writeNumber(number, value) {
  return Buffer.concat([writeVarint((number << 3) | VARINT), writeVarint(value)]);
}
