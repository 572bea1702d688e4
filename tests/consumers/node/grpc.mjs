// gRPC over Node's own HTTP/2: mutual TLS with one pinned certificate, calls with any number of messages both ways.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';

const PING_MS = 30_000, PING_TIMEOUT_MS = 10_000, MAX_MESSAGE = 64 * 1024 * 1024;
const NAMES = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE',
  'DATA_LOSS', 'UNAUTHENTICATED',
];

/** A call that ended with another status than OK. */
export class CallFailed extends Error {
  constructor(status, details) {
    super(`${NAMES[status] ?? status}: ${details}`);
    this.status = NAMES[status] ?? String(status);
  }
}

/** A connection to `port` (host:port). The files are PEM. Throws when the peer is not the given gateway. */
export async function connect({ port, gateway, certificate, key }) {
  const pinned = readFileSync(gateway);
  const session = http2.connect(`https://${port}`, {
    ca: pinned, cert: readFileSync(certificate), key: readFileSync(key), minVersion: 'TLSv1.2',
  });
  await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
  // TLS is content with whatever the pinned certificate vouches for; the gateway is known by that certificate alone.
  if (!session.socket.getPeerCertificate().raw.equals(new X509Certificate(pinned).raw)) {
    session.destroy();
    throw new Error(`${port} shows another certificate than ${gateway}`);
  }
  session.on('error', () => {}); // every call in flight fails by itself
  const pings = setInterval(() => ping(session), PING_MS);
  pings.unref();
  session.once('close', () => clearInterval(pings));
  return session;
}

function ping(session) {
  const late = setTimeout(() => session.destroy(new Error('the gateway does not answer')), PING_TIMEOUT_MS);
  late.unref();
  session.ping(() => clearTimeout(late));
}

/** Begin a call. `send(bytes)` a message, `halfClose()` when there are no more, and iterate over `messages`. */
export function call(session, method, timeoutS) {
  const path = `/edge_agent.wire.v1alpha1.${method}`;
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  if (timeoutS) headers['grpc-timeout'] = `${timeoutS}S`;
  const stream = session.request(headers);
  let status = null;
  const said = (received) => {
    if (!('grpc-status' in received)) return;
    status = { code: Number(received['grpc-status']), details: decodeURIComponent(received['grpc-message'] ?? '') };
  };
  stream.on('response', said).on('trailers', said);
  return {
    send: (message) => {
      const prefix = Buffer.alloc(5); // not compressed, and the length
      prefix.writeUInt32BE(message.length, 1);
      stream.write(Buffer.concat([prefix, message]));
    },
    halfClose: () => stream.end(),
    cancel: () => stream.close(http2.constants.NGHTTP2_CANCEL),
    messages: messages(stream, () => status),
  };
}

async function* messages(stream, status) {
  let held = [], size = 0;
  for await (const part of stream) {
    held.push(part);
    size += part.length;
    while (size >= 5) {
      let all = held.length === 1 ? held[0] : Buffer.concat(held);
      held = [all];
      const length = all.readUInt32BE(1);
      if (all[0] !== 0 || length > MAX_MESSAGE) throw new Error('a message that is compressed or too large');
      if (size < 5 + length) break;
      yield all.subarray(5, 5 + length);
      all = all.subarray(5 + length);
      held = [all];
      size = all.length;
    }
  }
  const ended = status();
  if (ended === null) throw new CallFailed(14, 'the connection was cut');
  if (ended.code !== 0) throw new CallFailed(ended.code, ended.details);
}

/** A call with one request: all that it answers. */
export async function unary(session, method, request, timeoutS = 20) {
  const { send, halfClose, messages: answers } = call(session, method, timeoutS);
  send(request);
  halfClose();
  const all = [];
  for await (const message of answers) all.push(message);
  return all;
}
