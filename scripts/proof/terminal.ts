/** Ctrl-C as people press it: a command typed into a shell on a terminal of its own. Node has no such terminals; Python has. */

import { execFile, execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./terminal.py', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));

/** What is typed and pressed. */
export interface Session {
  /** Typed as it stands. */
  readonly command: string;
  /** Text the program shows once it is far enough. */
  readonly ready: string;
  /** Time from there to the first press. */
  readonly delaySeconds: number;
  /** Time before each press, from the press before it. */
  readonly presses?: readonly number[];
  /** Closes the terminal instead of pressing. */
  readonly hangUp?: boolean;
  /** A file whose content at the moment the prompt is back is returned. */
  readonly watch?: string;
  readonly limitSeconds?: number;
}

/** What came of it. */
export interface Seen {
  /** False where `ready` was not shown in time. */
  readonly ready: boolean;
  /** True where the shell's prompt came back. Absent after `hangUp`, as the rest is. */
  readonly promptBack?: boolean;
  readonly seconds?: number;
  readonly watched?: string;
  /** What the terminal showed from the first press on. */
  readonly output: string;
  readonly cursorShown: boolean;
  readonly status: number | null;
}

/** Why there are no terminals here; undefined where there are. */
export function noTerminals(): string | undefined {
  if (process.platform === 'win32') return 'Windows has no pseudo-terminals';
  try {
    execFileSync('python3', ['-c', 'import pty'], { stdio: 'ignore' });
    execFileSync('bash', ['-c', ':'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'there is no python3, or no bash';
  }
}

/** Runs one session in the project's folder. Other sessions may run beside it. */
export function inTerminal(session: Session): Promise<Seen> {
  const settings = { presses: [0], hangUp: false, watch: '', limitSeconds: 600, ...session };
  const options = { cwd: root, env: environment(), maxBuffer: 2 ** 27 };
  return new Promise((resolve, reject) => {
    execFile('python3', [program, JSON.stringify(settings)], options, (error, output) => {
      if (error) reject(error);
      else resolve(JSON.parse(output) as Seen);
    });
  });
}

/** Without the variables that `npm test` or `npm run` sets for its children. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$)/i.test(name)));
}
