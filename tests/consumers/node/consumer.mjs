#!/usr/bin/env node
// A back-office in JavaScript: reads a port's events over mTLS and verifies them with its own code.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readSchema } from './protobuf.mjs';
import { subscribe } from './subscribe.mjs';
import { runVectors } from './vectors.mjs';

const USAGE = `usage: node consumer.mjs --port HOST:PORT --gateway FILE.crt --certificate FILE.crt --key FILE.key
                         [--anchor FILE.pem]... [--booth ID]... [--note FILE]... [--evidence FOLDER]
                         [--count N] [--idle SECONDS]
       node consumer.mjs --vectors FOLDER
Reads the port's events from the beginning, verifies each, prints a line for each, and a verdict at the end.
Exit status: 0 everything verifies; 1 something does not, and the last line names the code; 2 it could not be looked at.`;
const OPTIONS = {
  port: { type: 'string' }, gateway: { type: 'string' }, certificate: { type: 'string' }, key: { type: 'string' },
  anchor: { type: 'string', multiple: true, default: [] }, booth: { type: 'string', multiple: true, default: [] },
  note: { type: 'string', multiple: true, default: [] }, evidence: { type: 'string' }, count: { type: 'string' },
  idle: { type: 'string' }, vectors: { type: 'string' }, protos: { type: 'string' },
};

async function main() {
  let options;
  try {
    options = parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    return unable(`${error.message}\n${USAGE}`);
  }
  const here = dirname(fileURLToPath(import.meta.url));
  const protos = options.protos ?? join(here, '../../../protos/edge_agent/wire/v1alpha1');
  if (!existsSync(protos)) return unable(`${protos} is not there: give the folder of the .proto files with --protos`);
  const schema = readSchema(readdirSync(protos).filter((name) => name.endsWith('.proto')).map((name) => join(protos, name)));
  if (options.vectors) {
    const { cases, wrong } = runVectors(schema, options.vectors, (line) => console.log(line));
    console.log(wrong ? `${wrong} of ${cases} cases do not agree` : `all ${cases} cases agree`);
    return wrong ? 1 : 0;
  }
  if (!options.port || !options.gateway || !options.certificate || !options.key) return unable(USAGE);
  try {
    return await subscribe(schema, options, (line) => console.log(line));
  } catch (error) {
    return unable(error.message);
  }
}

function unable(why) {
  console.error(why);
  return 2;
}

process.exitCode = await main();
