/** Keys that a JSON object has more than once, which `JSON.parse` hides: the last one wins. */

/** @param text valid JSON that holds an object; only its own keys are looked at, not those of values within */
export function duplicateKeys(text: string): string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  let depth = 0;
  // Strings, or the brackets that open and close.
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[[{\]}]/g)) {
    const [token, colon] = match;
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (depth === 1 && colon !== undefined) {
      const key = JSON.parse(token.slice(0, token.length - colon.length)) as string;
      if (seen.has(key)) twice.add(key);
      seen.add(key);
    }
  }
  return [...twice];
}
