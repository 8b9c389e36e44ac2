import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readGetModelArguments } from '../../scripts/get-model.ts';
import { fixturePath } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { type FakeHub, fakeHub } from '../hub/fake-hub.ts';

const inFolder = useTemporaryFolder();
const project = fileURLToPath(new URL('../..', import.meta.url));
const model = 'families/llama-biases';
const files = new Map([
  ...readdirSync(fixturePath(model)).map((name) => [name, readFileSync(join(fixturePath(model), name))] as const),
  ['tokenizer.json', Buffer.from('{}')] as const,
]);
const shards = [...files.keys()].filter((name) => name.endsWith('.safetensors'));

let fake: FakeHub;
beforeEach(async () => {
  fake = await fakeHub(files);
});
afterEach(() => fake.close());

interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function getModel(args: readonly string[], started: (child: ChildProcess) => void = () => {}): Promise<Result> {
  const command = ['--import', 'tsx', 'scripts/get-model.ts', ...args];
  const env = { ...process.env, HF_ENDPOINT: fake.hub.endpoint, HF_TOKEN: '' };
  const child = spawn(process.execPath, command, { cwd: project, env });
  const [stdout, stderr]: [string[], string[]] = [[], []];
  child.stdout.on('data', (text: Buffer) => stdout.push(text.toString()));
  child.stderr.on('data', (text: Buffer) => stderr.push(text.toString()));
  started(child);
  return new Promise((resolve) =>
    child.on('close', (status) => resolve({ status, stdout: stdout.join(''), stderr: stderr.join('') })),
  );
}

describe('npm run get-model', () => {
  it('writes a folder that is the one on the hub, and says so when asked again', async () => {
    const folder = inFolder('models', 'tiny');
    const { status, stdout, stderr } = await getModel(['org/tiny', '--to', folder]);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^org\/tiny {2}0\/0 .+commit 0123456789ab\nwrote .+tiny\n$/);
    for (const [name, bytes] of files) expect(readFileSync(join(folder, name)).equals(bytes), name).toBe(true);
    expect(await getModel(['org/tiny', '--to', folder])).toMatchObject({
      ...{ status: 0, stderr: '', stdout: `${folder}: is there already, all ${files.size} files as listed\n` },
    });
  });

  it('after Ctrl-C keeps what came, and goes on from there', async () => {
    const folder = inFolder('models', 'tiny');
    let child: ChildProcess | undefined;
    fake.intercept = (path, response) => {
      if (path !== `/store/${shards[1]}`) return false;
      // Half of the second shard, and then nothing until the signal.
      response.write(files.get(shards[1]!)!.subarray(0, 1000), () => setTimeout(() => child?.kill('SIGINT'), 200));
      return true;
    };
    const stopped = await getModel(['org/tiny', '--to', folder], (started) => {
      child = started;
    });
    expect(stopped.stderr).toBe('stopped; what came is kept. The same command goes on from there.\n');
    expect(stopped.status).toBe(130);
    expect(existsSync(folder)).toBe(false);
    fake.intercept = () => false;
    fake.requests.length = 0;
    expect(await getModel(['org/tiny', '--to', folder])).toMatchObject({ status: 0, stderr: '' });
    const store = fake.requests.filter(({ path }) => path.startsWith('/store'));
    expect(store.map(({ path, range }) => [path, range])).toEqual([
      [`/store/${shards[1]}`, 'bytes=1000-'],
      ...shards.slice(2).map((name) => [`/store/${name}`, undefined]),
    ]);
    for (const [name, bytes] of files) expect(readFileSync(join(folder, name)).equals(bytes), name).toBe(true);
  });

  it('refuses a model of a kind that cannot be used here before its weights are fetched', async () => {
    const config = Buffer.from('{"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}');
    await fake.close();
    fake = await fakeHub(new Map([...files, ['config.json', config]]));
    const { status, stderr } = await getModel(['org/tiny', '--to', inFolder('tiny')]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^org\/tiny\/config\.json model_type: "t5" is not supported; expected .+\.\n$/);
    expect(fake.requests.some(({ path }) => path.startsWith('/store'))).toBe(false);
  });

  it('reads its command line, and refuses what it does not know', async () => {
    const folder = join('data', 'models', 'SmolLM2-135M');
    const found = { repository: 'HuggingFaceTB/SmolLM2-135M', revision: 'main' };
    expect(readGetModelArguments(['HuggingFaceTB/SmolLM2-135M'])).toEqual({ model: found, folder });
    expect(readGetModelArguments(['a/b@v1', '--to', 'x'])).toMatchObject({ model: { revision: 'v1' }, folder: 'x' });
    expect(readGetModelArguments(['--help'])).toBeUndefined();
    for (const argv of [[], ['a/b', 'c/d'], ['a/b', '--to', ''], ['a/b', '--force'], ['a/b', '--to']]) {
      const [problem] = await problemsOf(() => readGetModelArguments(argv), inFolder());
      expect(problem, argv.join(' ')).toMatch(/^get-model: .+\n.*Fetches a model/s);
    }
  });
});
