/** Reads the imports of TypeScript files and finds those that the project's layout forbids. */

import { posix } from 'node:path';
import ts from 'typescript';

/** Which folders of src each folder of src may import, besides itself and errors.ts (message and random are files). Order: from the ground up. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  files: [],
  jinja: [],
  yaml: ['files'],
  hub: ['files'],
  native: [],
  lanes: ['files'],
  terminal: ['files', 'yaml'],
  batch: [],
  tokenizer: ['batch', 'jinja', 'files', 'message', 'random'],
  tables: ['files', 'message'],
  tasks: ['tables', 'yaml', 'files', 'message', 'random'],
  import: ['tables', 'yaml', 'files', 'message', 'random'],
  examples: ['import', 'tasks', 'tables', 'batch', 'tokenizer', 'files', 'message', 'random'],
  tensor: ['lanes', 'random'],
  graph: ['tensor'],
  model: ['batch', 'tensor', 'random'],
  execution: ['model', 'graph', 'batch', 'tensor', 'random'],
  objectives: ['execution', 'model', 'batch', 'tensor', 'random'],
  checkpoint: ['execution', 'model', 'tokenizer', 'tensor', 'files', 'random'],
  gguf: ['checkpoint', 'model', 'tokenizer', 'tensor', 'files'],
  decoding: ['execution', 'model', 'graph', 'examples', 'batch', 'tokenizer', 'tensor', 'random'],
  alignment: ['decoding', 'objectives', 'execution', 'model', 'graph', 'batch', 'tensor', 'random'],
  evaluation: [
    ...['alignment', 'decoding', 'objectives', 'execution', 'model', 'checkpoint'],
    ...['examples', 'tasks', 'tables', 'batch', 'tokenizer', 'tensor', 'files', 'message', 'random'],
  ],
  run: [
    ...['terminal', 'checkpoint', 'execution', 'model', 'graph', 'tensor', 'examples', 'tasks', 'tables', 'tokenizer'],
    ...['batch', 'yaml', 'files', 'lanes', 'random'],
  ],
  report: ['alignment', 'evaluation', 'run', 'examples', 'tables', 'message'],
  worlds: ['run', 'evaluation', 'examples', 'import', 'tasks', 'tables', 'tokenizer', 'files', 'message', 'random'],
};

/** Where each third-party package may be imported: a folder ("src/tensor/") or a file. Tests may import anything. */
const DOORS: readonly { package: RegExp; allowed: RegExp }[] = [
  { package: /^@tensorflow\//, allowed: /^src\/tensor\// },
  { package: /^koffi$/, allowed: /^src\/tensor\/native-library\.ts$/ },
  { package: /^webgpu$/, allowed: /^src\/(tensor|lanes)\// },
  { package: /^apache-arrow(\/|$)/, allowed: /^src\/(tables\/(arrow-[a-z-]+|columns)|import\/arrow-[a-z-]+)\.ts$/ },
  {
    package: /^(csv-parse|@streamparser\/json|hyparquet|hyparquet-compressors|fzstd|tinyglobby)(\/|$)/,
    allowed: /^src\/import\//,
  },
  { package: /^@huggingface\/tokenizers$/, allowed: /^src\/tokenizer\// },
  { package: /^cli-progress$/, allowed: /^src\/terminal\/display\.ts$/ },
  { package: /^yaml$/, allowed: /^(src\/(yaml|run)\/|scripts\/)/ },
  {
    package: /^zod$/,
    allowed:
      /^(src\/(yaml|run)\/|src\/worlds\/prompts-section\.ts$|src\/tasks\/(template|clusters)|src\/tokenizer\/tokenizer-(parts|json)\.ts$|(stages|scripts)\/[\w-]+\.config\.ts$|scripts\/write-config-schemas\.ts$)/,
  },
];

/** The modules a file names in import, export, import() and require(), types included. */
export function importsOf(text: string): string[] {
  const named = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
  const required = [...text.matchAll(/\brequire(?:\.resolve)?\(\s*['"]([^'"]+)['"]/g)].map((match) => match[1] ?? '');
  return [...new Set([...named, ...required])];
}

/** Every import that the layout forbids, as "file imports module: why". `files` maps paths to texts. */
export function forbiddenImports(files: ReadonlyMap<string, string>): string[] {
  const problems: string[] = [];
  for (const [file, text] of files) {
    for (const module of importsOf(text)) {
      const why = module.startsWith('.') ? forbiddenFile(file, module, files) : forbiddenPackage(file, module);
      if (why !== undefined) problems.push(`${file} imports ${module}: ${why}`);
    }
  }
  return problems;
}

function forbiddenPackage(file: string, module: string): string | undefined {
  if (file.startsWith('test/')) return undefined;
  if (module.startsWith('node:')) return undefined;
  const door = DOORS.find((candidate) => candidate.package.test(module));
  if (door === undefined) return file.startsWith('src/lanes/') ? undefined : 'no file may import this package';
  return door.allowed.test(file) ? undefined : `only ${door.allowed.source} may`;
}

function forbiddenFile(file: string, module: string, files: ReadonlyMap<string, string>): string | undefined {
  const target = resolveImport(file, module);
  if (!/\.(ts|json)$/.test(target)) return 'the extension is missing';
  const [top = ''] = file.split('/');
  const [targetTop = ''] = target.split('/');
  if (target.endsWith('.ts') && !files.has(target)) return 'there is no such file';
  if (top === 'test' || top === 'scripts')
    return targetTop === 'test' && top !== 'test' ? 'tests are for tests' : undefined;
  if (top === 'stages') {
    // One file lists the stages for those who run them; no stage may import it.
    const own = file.replace(/(\.config)?\.ts$/, '.config.ts');
    return targetTop === 'src' || target === own || file === 'stages/all.ts'
      ? undefined
      : 'stages meet only through files';
  }
  if (targetTop !== 'src') return 'src imports only src';
  const [folder, targetFolder] = [folderOf(file), folderOf(target)];
  if (folder === targetFolder || targetFolder === 'errors') return undefined;
  if (folder === 'errors' || folder === 'message' || folder === 'random') return 'this file imports nothing';
  const allowed = MAY_IMPORT[folder];
  if (allowed === undefined) return `src/${folder} is not in the table of imports`;
  return allowed.includes(targetFolder) ? undefined : `src/${folder} may import ${['errors', ...allowed].join(', ')}`;
}

/** "tensor" for src/tensor/tf.ts, "errors" for src/errors.ts. */
function folderOf(file: string): string {
  return (file.split('/')[1] ?? '').replace(/\.ts$/, '');
}

export function resolveImport(file: string, module: string): string {
  return posix.normalize(posix.join(posix.dirname(file), module));
}

/** Cycles of imports among the files, types included, each as "a → b → a"; one for each group of files. */
export function importCycles(files: ReadonlyMap<string, string>): string[] {
  const cycles: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const trail: string[] = [];
  const visit = (file: string): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(file)), file].join(' → '));
      return;
    }
    state.set(file, 'open');
    trail.push(file);
    for (const module of importsOf(files.get(file) ?? '')) {
      const target = resolveImport(file, module);
      if (module.startsWith('.') && files.has(target)) visit(target);
    }
    trail.pop();
    state.set(file, 'done');
  };
  for (const file of files.keys()) visit(file);
  return cycles;
}
