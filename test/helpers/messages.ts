/** Conversations for tests. */
import type { Message } from '../../src/message.ts';

/** A conversation of user and assistant in turn, the user first. */
export function talk(...texts: readonly string[]): Message[] {
  return texts.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }));
}
