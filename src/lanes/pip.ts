/** Python's pip: where it is, and the package index that it asks. */
import { LaneError } from '../errors.ts';
import { findProgram } from './hardware.ts';
import { runProgram, tellingLine } from './programs.ts';

/**
 * The Python that has pip.
 * @param purpose what it does here, for the error: "fetches …"
 * @throws LaneError where there is no Python with pip on the PATH
 */
export async function findPython(environment: NodeJS.ProcessEnv, purpose: string): Promise<string> {
  const tried: string[] = [];
  for (const name of ['python3', 'python']) {
    const python = findProgram(name, environment.PATH);
    if (!python) continue;
    const result = await runProgram(python, ['-m', 'pip', '--version'], { environment, limitSeconds: 30 });
    if (result.ok) return python;
    tried.push(`${python}: ${tellingLine(result.output) || result.failure}`);
  }
  throw new LaneError(
    tried.length === 0
      ? `PATH: no python3 was found, which ${purpose}. Install python3 with pip (Debian: apt install python3-pip).`
      : `PATH: no Python with pip was found (${tried.join('; ')}). Install pip (Debian: apt install python3-pip).`,
  );
}

/**
 * The package index that pip asks where nobody names another: its help tells it.
 * @throws LaneError where there is no pip, or its help tells none
 */
export async function pipIndex(environment: NodeJS.ProcessEnv): Promise<string> {
  const python = await findPython(environment, 'knows the package index where PIP_INDEX_URL is not set');
  const wide = { ...environment, COLUMNS: '200' };
  const help = await runProgram(python, ['-m', 'pip', 'download', '--help'], { environment: wide, limitSeconds: 60 });
  const index = /--index-url <url>[^(]*\(default\s+(\S+?)\)/.exec(help.standardOutput)?.[1];
  if (index !== undefined) return index;
  throw new LaneError('PIP_INDEX_URL: is not set, and pip tells of no package index. Set it to the address of one.');
}
