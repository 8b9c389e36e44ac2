/** The loss on held-out conversations: which rows and answers, and the number that one row after the other gives. */
import { expect, it } from 'vitest';
import { packSequences } from '../../src/batch/packing.ts';
import { conversationLosses, conversationSets } from '../../src/evaluation/conversation-loss.ts';
import { encodeExample } from '../../src/examples/instruction.ts';
import { nextTokenLoss } from '../../src/objectives/next-token.ts';
import { conversationTask } from '../../src/tasks/conversations.ts';
import '../helpers/allclose.ts';
import { talk } from '../helpers/messages.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { byteModel } from './byte-model.ts';

const tokenizer = byteTokenizer();
const talks = [talk('a', 'first', 'b', 'second'), talk('c', 'third'), talk('d', 'one', 'e', 'two', 'f', 'three')];
const rows = talks.map((messages, i) => ({ where: `chats.jsonl:${i + 1}`, id: `r${i}`, split: 'test', messages }));
const more = [
  { where: 'chats.jsonl:4', id: 'r3', split: 'train', messages: talk('q', 'trained') },
  { where: 'chats.jsonl:5', id: 'r4', split: 'test', messages: talk('q', 'x'.repeat(99)) },
  { where: 'chats.jsonl:6', id: 'r5', split: 'test', messages: talk('q', 'a'), tools: [{ name: 'f' }] },
];
const task = conversationTask('chats', 'chats.jsonl', [...rows, ...more]);
const choice = { split: 'test', rowsPerTask: 9, seed: 1, context: 64 };
const seen = { clusters: new Set<string>(), tasks: new Set(['chats']), templates: new Set(['chats/conversation']) };

it.each(lanesToTest())('is the mean over the tokens of the answers, as row by row: %s', async (name) => {
  await useLane(name);
  const model = byteModel();
  const { sets, lines } = conversationSets([task], undefined, choice, tokenizer);
  expect(lines).toEqual([
    expect.stringMatching(
      /^conversations of chats: left out: 1 of 5 rows do not fit the model, first chats\.jsonl:6: the plain/,
    ),
    'conversations of chats: 1 of 5 are longer than 64 tokens',
    'conversations: the loss of all answers is measured on chats; nothing is scored',
  ]);
  let [sum, tokens] = [0, 0];
  for (const { messages, where } of rows) {
    const whole = encodeExample({ messages }, tokenizer, { maxLength: 64, overlong: 'error', where })!;
    const count = whole.learned.reduce((all, flag) => all + flag, 0);
    sum += count * nextTokenLoss(model, [packSequences([whole], 64, tokenizer.padId)]);
    tokens += count;
  }
  const [found, ...others] = conversationLosses('base', model, sets);
  expect(others).toEqual([]);
  expect(found).toMatchObject({ model: 'base', task: 'chats', protocol: 'unknown', rows: 3, tokens });
  expect([found!.loss]).toBeAllclose([sum / tokens], { rtol: 1e-5, atol: 1e-6 });
});

it('is taken on the answers that stage 1 learned from', () => {
  const { sets, lines } = conversationSets([task], { ...seen, learn: 'last' }, choice, tokenizer);
  const answers = ['second', 'third', 'three'].map((text) => tokenizer.encode(` ${text}`).length + 1);
  expect(sets[0]).toMatchObject({ protocol: 'seen_task', tokens: answers.reduce((sum, count) => sum + count, 0) });
  expect(lines.at(-1)).toContain('the loss of the last answers (data.learn) is measured');
});
