/** The generate command with models that know two answers by heart. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { generateCommand } from '../../scripts/generate.ts';
import { disposeSpeakers, openSpeakers } from '../../scripts/use/speaker.ts';
import { currentLane, tensorCount } from '../../src/tensor/lane.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { useSharedFolder } from '../helpers/tiny-runs.ts';
import { writeRandomSpeaker, writeSpeaker } from '../helpers/tiny-speakers.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
beforeAll(async () => {
  await useLane();
  await writeSpeaker(path('left'), [{ prompt: 'sky', target: 'blue, not green' }]);
  await writeSpeaker(path('right'), [{ prompt: 'sky', target: 'grey\ntoday' }]);
  writeRandomSpeaker(path('random'));
  writeRandomSpeaker(path('judge'), 'score');
});

/** What the command prints. */
async function ask(argv: readonly string[], terminal = false) {
  const texts: string[] = [];
  const notes: string[] = [];
  await generateCommand([...argv, '--backend', currentLane()], {
    write: (text) => texts.push(text),
    note: (line) => notes.push(line.replaceAll(`${path('')}/`, '')),
    terminal,
    width: 43,
  });
  return { text: texts.join('').replaceAll(`${path('')}/`, ''), texts, notes };
}
const greedy = ['--prompt', 'sky', '--temperature', '0', '--max-new-tokens', '24'];
const problems = (...argv: string[]) => problemsOf(() => ask(argv), path());

describe('generate', () => {
  it('writes the answer as it comes, and says why it ended and how fast it was', async () => {
    const { text, texts, notes } = await ask([path('left'), ...greedy]);
    expect(text).toBe('blue, not green\n');
    expect(texts.length).toBeGreaterThan(10);
    expect(notes[0]).toMatch(/^lane /);
    expect(notes[1]).toMatch(/^17 tokens in \d+\.\d\d s, \d+ tokens\/s; ended by itself$/);
  });

  it('keeps its weights apart, as nothing is trained: one flat tensor would be split at every token', async () => {
    const speakers = await openSpeakers([path('left')], { backend: currentLane(), say: () => undefined, usage: '' });
    const [{ parameters }] = speakers.map(({ model }) => model) as [(typeof speakers)[number]['model']];
    expect(parameters.layout.total).toBe(0);
    expect(Object.keys(parameters.frozen)).toContain('embedding.tokens');
    disposeSpeakers(speakers);
  });

  it('stops at texts and at the limit', async () => {
    const stopped = await ask([path('right'), ...greedy, '--stop', '\\n']);
    expect(stopped.text).toBe('grey\n');
    expect(stopped.notes[1]).toMatch(/; stopped at "\\n"$/);
    const cut = await ask([path('left'), '--prompt', 'sky', '--temperature', '0', '--max-new-tokens', '5']);
    expect(cut.text).toBe('blue\n');
    expect(cut.notes[1]).toMatch(/; stopped at the limit of 5 tokens$/);
  });

  it('draws several samples with a seed', async () => {
    const drawn = (seed: string) =>
      ask([path('random'), '--prompt', 'x', '--samples', '2', '--max-new-tokens', '6', '--seed', seed]);
    const { text, notes } = await drawn('1');
    expect(text).toMatch(/^── 1 of 2\n.*\n\n── 2 of 2\n.*\n$/s);
    expect(notes[1]).toMatch(/^\d+ tokens in /);
    expect((await drawn('1')).text).toBe(text);
    expect((await drawn('2')).text).not.toBe(text);
  });

  it('sets two checkpoints side by side on a terminal, and below each other elsewhere', async () => {
    const both = [path('left'), path('right'), ...greedy];
    const { text, notes } = await ask(both, true);
    expect(text).toMatch(/^…\S*left │ …\S*right\n/);
    expect(text.split('\n').slice(2)).toEqual(['blue, not green      │ grey', '                     │ today', '']);
    expect(notes.slice(1).map((line) => line.split(':')[0])).toEqual(['left', 'right']);
    expect((await ask(both)).text).toBe('[left]\nblue, not green\n[right]\ngrey\ntoday\n');
    const several = await ask([...both, '--samples', '2'], true);
    expect(several.text.match(/── \d of 2\n/g)).toHaveLength(2);
    expect(several.text.match(/blue, not green {6}│ grey\n/g)).toHaveLength(2);
  });

  it('writes a line of JSON an answer', async () => {
    const { text } = await ask([path('left'), path('right'), ...greedy, '--json', '--samples', '2', '--stop', 'y']);
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ checkpoint, sample }) => [checkpoint, sample])).toEqual([
      ...[
        ['left', 0],
        ['left', 1],
        ['right', 0],
        ['right', 1],
      ],
    ]);
    expect(lines[0]).toMatchObject({ prompt: 'sky', seed: 1, text: 'blue, not green', reason: 'end', tokens: 17 });
    expect(lines[2]).toMatchObject({ text: 'gre', reason: 'stop', stop: 'y' });
    expect(lines[0]?.log_prob).toBeLessThan(0);
  });

  it('goes on with a raw text, after BOS where the model knows it', async () => {
    // What stands behind the prompt in training: a line break, and the space of the answer.
    const { text } = await ask([path('left'), '--raw', ...greedy.map((word) => (word === 'sky' ? 'sky\n' : word))]);
    expect(text).toBe(' blue, not green\n');
  });

  it('reads the prompt from a file, without its byte-order mark and its last line break', async () => {
    writeFileSync(path('prompt.txt'), '\uFEFFsky\n');
    const { text } = await ask([path('left'), '--prompt-file', path('prompt.txt'), '--temperature', '0']);
    expect(text).toBe('blue, not green\n');
  });

  it('lowers the limit to what fits, and says so', async () => {
    const { notes } = await ask([path('left'), '--prompt', 'x'.repeat(50)]);
    expect(notes[1]).toBe('left: only 12 new tokens fit behind 52 of prompt in a context of 64.');
  });

  it('frees every tensor', async () => {
    await ask([path('left'), ...greedy]);
    const before = tensorCount();
    await ask([path('left'), path('right'), ...greedy, '--samples', '3']);
    expect(tensorCount()).toBe(before);
  });

  it('shows its options', async () => {
    const { text } = await ask(['--help']);
    expect(text).toContain('Usage: npm run generate -- <checkpoint>');
    expect(text).toMatch(/--temperature <x> +Divides the logits/);
  });

  it('says what is wrong with what was typed', async () => {
    const usage = 'Usage: npm run generate -- <checkpoint> [<checkpoint 2>] --prompt "…" [options]';
    expect(await problems('--prompt', 'x')).toEqual([
      `expected one checkpoint, or two to compare, received none. ${usage}`,
    ]);
    expect(await problems('a', 'b', 'c', '--prompt', 'x')).toEqual([
      `expected one checkpoint, or two to compare, received 3 (a, b, c). ${usage}`,
    ]);
    expect(await problems(path('left'))).toEqual([
      `expected either --prompt or --prompt-file, received none. ${usage}`,
    ]);
    expect(await problems(path('left'), '--prompt', 'x', '--prompt-file', 'y')).toEqual([
      `expected either --prompt or --prompt-file, received both. ${usage}`,
    ]);
    expect(await problems(path('left'), '--prompt-file', path('none.txt'))).toEqual([
      '--prompt-file none.txt: there is no such file. Correct the path.',
    ]);
    expect(await problems(path('left'), '--promt', 'x')).toEqual([
      'argument "--promt": unknown option. Did you mean --prompt?',
    ]);
  });

  it('says what is wrong with checkpoints and prompts, all at once', async () => {
    mkdirSync(path('empty'));
    expect(await problems(path('none'), path('judge'), '--prompt', 'x')).toEqual([
      'checkpoint none: there is no such folder. Run the stage that makes it, or correct the path.',
      'checkpoint judge: is a reward model; expected a language model. Name another checkpoint.',
    ]);
    expect(await problems(path('empty'), '--prompt', 'x')).toEqual([
      expect.stringContaining('config.json, model.safetensors, tokenizer.json missing in'),
    ]);
    const long = 'x'.repeat(70);
    expect(await problems(path('left'), path('right'), '--prompt', long)).toEqual(
      ['left', 'right'].map(
        (name) =>
          `${name}: the prompt is too long; expected at most 63 tokens, as the context has 64, received 72. Shorten it.`,
      ),
    );
  });
});
