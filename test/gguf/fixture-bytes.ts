import { readFileSync } from 'node:fs';

/** A file of test/fixtures/gguf/ in memory of its own. */
export function fixtureBytes(name: string): Buffer<ArrayBuffer> {
  return Buffer.from(Uint8Array.from(readFileSync(new URL(`../fixtures/gguf/${name}`, import.meta.url))).buffer);
}
