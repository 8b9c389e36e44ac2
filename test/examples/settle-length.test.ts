/** How long sequences are where the rows decide. */
import { expect, test } from 'vitest';
import type { FileTask } from '../../src/examples/file-tasks.ts';
import { settleLength } from '../../src/examples/settle-length.ts';
import { conversationTask, textTask } from '../../src/tasks/conversations.ts';

const fileOf = (
  lengths: readonly number[],
  task: FileTask['task'] = conversationTask('a', 'a.jsonl', []),
): FileTask => {
  return { task, weight: 1, whole: new Map(), hash: '', lengths, inputs: ['a.jsonl'], lines: ['read'] };
};
/** As the stage's schema has it. */
interface Settings {
  readonly sequence: { readonly length: number | 'auto'; readonly overlong: 'turns' | 'error' };
}
const auto: Settings = { sequence: { length: 'auto', overlong: 'turns' } };

test('the smallest multiple of 64 that holds 99.5 % of the rows; what is longer is told', async () => {
  // Of 400 rows two may be longer.
  const lengths = [...Array<number>(397).fill(100), 190, 700, 900];
  const { config, lines } = await settleLength(auto, [fileOf(lengths)], 2048);
  expect(config.sequence).toEqual({ length: 192, overlong: 'turns' });
  expect(lines).toEqual([
    'read',
    'sequence  192 tokens (auto): 398 of 400 rows fit; 2 are longer (up to 900): their first turns are left out, or all of them where the last turn is too long (sequence.overlong)',
  ]);
});

test('no more than the context, the memory, and what the run began with', async () => {
  const files = [fileOf([100, 300])];
  const chosen = async (context: number, more = {}) => {
    const { config, lines } = await settleLength(auto, files, context, more);
    return [config.sequence.length, lines[1]?.split(': ')[1]?.split(';')[0]];
  };
  expect(await chosen(2048)).toEqual([320, '2 of 2 rows fit']);
  expect(await chosen(144)).toEqual([144, "320 are wanted, and the model's context is 144"]);
  const offered: number[] = [];
  const longestOf = async (lengths: readonly number[]) => {
    offered.push(...lengths);
    return 128;
  };
  expect(await chosen(2048, { longestOf })).toEqual([128, '320 are wanted, and the memory allows no more']);
  expect(offered).toEqual([64, 128, 192, 256, 320]);
  expect(await chosen(2048, { longestOf, before: 256 })).toEqual([256, 'as the run began']);
});

test('texts ask for no more than 512, and a number stays what it is', async () => {
  const texts = fileOf([5000], textTask('t', 't.jsonl', []));
  expect((await settleLength(auto, [texts], 8192)).config.sequence.length).toBe(512);
  const asked: Settings = { sequence: { length: 96, overlong: 'error' } };
  expect(await settleLength(asked, [texts], 8192)).toEqual({ config: asked, lines: ['read'] });
});
