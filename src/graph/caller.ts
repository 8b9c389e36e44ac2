/** The line of this project, or of a program that uses it, that made a call. */

const OWN = /[\\/]src[\\/]graph[\\/]|node_modules|^node:/;

/** `src/alignment/kl.ts:12:5`, the innermost line outside of TensorFlow.js and of this folder. */
export function callerOf(error: Error): string {
  const places = (error.stack ?? '').split('\n').flatMap((line) => {
    const found = /\(?((?:file:\/\/)?[^\s()]+:\d+:\d+)\)?$/.exec(line);
    return found === null ? [] : [(found[1] as string).replace(/^file:\/\//, '')];
  });
  const outside = places.find((place) => !OWN.test(place)) ?? 'an unknown line';
  return outside.replace(`${process.cwd()}/`, '');
}
