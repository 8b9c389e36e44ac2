/** Text that grows token by token: nothing that was given out changes later, and stop sequences end it. */

/** A text that is being written. */
export interface TextStream {
  /**
   * Takes the text decoded so far and returns what of it is new and certain: no half character, no beginning of what may
   * become a stop sequence.
   * @param decoded the text of all tokens so far, not only of the last one
   */
  push(decoded: string): string;
  /** What was held back, once no more tokens come. */
  finish(): string;
  /** The stop sequence that was found; undefined where there was none. `push` then returns nothing more. */
  stop(): string | undefined;
  /** All that was given out: at the end, the text before the stop sequence. */
  text(): string;
}

/** Where a stop sequence was found in a text. */
interface Found {
  readonly stop: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Opens a stream of text.
 *
 * stops ["END"], pushed "a", "a E", "a EN", "a ENd", "a ENd END"  ->  "a", " ", "", "ENd", " " and stopped
 *
 * @param stops texts that end the stream, looked for in the decoded text, so wherever token borders lie; of several, the
 *   one that is complete first counts, as if the text came character by character
 * @param ending what may be taken off the end of the whole text: a beginning of it is not certain either
 */
export function openTextStream(stops: readonly string[], ending = ''): TextStream {
  let given = '';
  let decoded = '';
  let found: Found | undefined;
  const giveOut = (end: number): string => {
    // A decoder that changes its mind about earlier text is not followed: what was given out stays.
    if (end <= given.length || !decoded.startsWith(given)) return '';
    const fresh = decoded.slice(given.length, end);
    given += fresh;
    return fresh;
  };
  return {
    push: (text) => {
      if (found !== undefined) return '';
      decoded = text;
      const certain = text.slice(0, certainLength(text));
      found = firstStop(certain, stops);
      return giveOut(found?.start ?? certain.length - possibleStop(certain, [...stops, ending]));
    },
    finish: () => {
      if (found !== undefined) return '';
      found = firstStop(decoded, stops);
      return giveOut(found?.start ?? decoded.length);
    },
    stop: () => found?.stop,
    text: () => given,
  };
}

/** Length without the characters at the end that more bytes may still complete; decoders write U+FFFD for those. */
function certainLength(text: string): number {
  return text.length - (/\uFFFD+$/.exec(text)?.[0].length ?? 0);
}

function firstStop(text: string, stops: readonly string[]): Found | undefined {
  const all = stops.flatMap((stop): Found[] => {
    const start = stop === '' ? -1 : text.indexOf(stop);
    return start < 0 ? [] : [{ stop, start, end: start + stop.length }];
  });
  return all.reduce<Found | undefined>((first, candidate) => {
    if (first === undefined || candidate.end < first.end) return candidate;
    return candidate.end === first.end && candidate.start < first.start ? candidate : first;
  }, undefined);
}

/** Length of the longest end of a text that is the beginning of a stop sequence. */
function possibleStop(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
