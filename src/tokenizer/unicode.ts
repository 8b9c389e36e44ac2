/**
 * Classes of characters as Python's `tokenizers` 0.23 has them. Its Rust libraries know Unicode 8 and 9 for marks,
 * punctuation and normalisation, and JavaScript's own are of today, so what came later is left out by name. Found by
 * comparing all code points (`scripts/fixtures/tokenizer_kinds.py` writes hashes of them, which a test compares).
 * Letters and numbers of regular expressions stay JavaScript's: Node 20.20 knows 4,657 characters of Unicode 17 that Python
 * takes for signs.
 */

/** "7fd 897-89f" as the inside of a class of a regular expression. */
function ranges(text: string): string {
  return text.replace(/[0-9a-f]+/g, (code) => `\\u{${code}}`).replaceAll(' ', '');
}

/** Marks that came to Unicode after 9.0. */
const NEW_MARKS = ranges(
  '7fd 897-89f 8ca-8d3 9fe afa-aff b55 c04 c3c cf3 d00 d3b-d3c d81 eba ece 1715 180f 1abf-1add 1ae0-1aeb' +
    ' 1cf7 1df6-1dfa a82c a8ff 10d24-10d27 10d69-10d6d 10eab-10eac 10efa-10eff 10f46-10f50 10f82-10f85 11070' +
    ' 11073-11074 110c2 11145-11146 111c9 111ce-111cf 11241 1133b 113b8-113c0 113c2 113c5 113c7-113ca' +
    ' 113cc-113d0 113d2 113e1-113e2 1145e 1182c-1183a 11930-11935 11937-11938 1193b-1193e 11940 11942-11943' +
    ' 119d1-119d7 119da-119e0 119e4 11a01-11a0a 11a33-11a39 11a3b-11a3e 11a47 11a51-11a5b 11a8a-11a99' +
    ' 11b60-11b67 11d31-11d36 11d3a 11d3c-11d3d 11d3f-11d45 11d47 11d8a-11d8e 11d90-11d91 11d93-11d97' +
    ' 11ef3-11ef6 11f00-11f01 11f03 11f34-11f3a 11f3e-11f42 11f5a 13440 13447-13455 1611e-1612f 16f4f' +
    ' 16f7f-16f87 16fe4 16ff0-16ff1 1cf00-1cf2d 1cf30-1cf46 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef' +
    ' 1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef 1e6f5',
);

/** Nonspacing marks that came after 8.0, beside those. */
const NEW_NONSPACING = ranges(
  '8d4-8e1 1885-1886 1dfb a8c5 a9bd 1123e 11438-1143f 11442-11444 11446 11c30-11c36 11c38-11c3d 11c3f' +
    ' 11c92-11ca7 11caa-11cb0 11cb2-11cb3 11cb5-11cb6 1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024' +
    ' 1e026-1e02a 1e944-1e94a',
);

/** Punctuation that came after 8.0. */
const NEW_PUNCTUATION = ranges(
  '61d 9fd a76 c77 c84 1b4e-1b4f 1b7d-1b7f 2e43-2e4f 2e52-2e5d 10d6e 10ead 10ed0 10f55-10f59 10f86-10f89' +
    ' 113d4-113d5 113d7-113d8 1144b-1144f 1145a-1145b 1145d 11660-1166c 116b9 1183b 11944-11946 119e2' +
    ' 11a3f-11a46 11a9a-11a9c 11a9e-11aa2 11b00-11b09 11be1 11c41-11c45 11c70-11c71 11ef7-11ef8 11f43-11f4f' +
    ' 11fff 12ff1-12ff2 16d6d-16d6f 16e97-16e9a 16fe2 1e5ff 1e95e-1e95f',
);

/** Characters that a later Unicode takes apart. */
const NEW_CANONICAL = ranges('105c9 105e4 11383 11385 1138e 11391 113c5 113c7-113c8 11938 16121-16128 16d68-16d6a');

/** The same for compatibility only. */
const NEW_COMPATIBLE = ranges(
  '32ff a7f1-a7f4 ab69 10781-10785 10787-107b0 107b2-107ba 1ccd6-1ccf9 1e030-1e06d 1f16c 1fbf0-1fbf9',
);
/** Every mark, for StripAccents; U+1CF2 and U+1CF3 were marks once. */
export const marks = new RegExp(`(?![${NEW_MARKS}])[\\p{M}\u1cf2\u1cf3]`, 'gu');

/** Nonspacing marks, which BERT takes off letters; U+1734 and U+1171E were among them. */
export const nonspacingMarks = new RegExp(`(?![${NEW_MARKS}${NEW_NONSPACING}])[\\p{Mn}\u1734\u{1171e}]`, 'gu');

/** Punctuation and the signs of ASCII, as BERT and Punctuation cut at them. */
export const punctuation = new RegExp(`(?![${NEW_PUNCTUATION}])[\\p{P}!-/:-@[-\`{-~\u166d\u{111c9}]`, 'gu');

/** What BERT's cleaning removes: controls but tab and line ends, formats, private characters, U+FFFD. */
export const controls = /(?![\t\n\r\u0890\u0891\u08e2\u{110cd}\u{13430}-\u{1343f}])[\p{Cc}\p{Cf}\p{Co}\ufffd]/gu;

/** Letters, marks, digits and connectors: a word, for `single_word` and Whitespace. */
export const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';

/** Normalises to a form; characters and marks of later versions stay as they are and apart from their neighbours. */
export function normalizerTo(form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): (text: string) => string {
  const late = `${NEW_CANONICAL}${NEW_MARKS}${form.startsWith('NFK') ? NEW_COMPATIBLE : ''}`;
  const pattern = new RegExp(`([${late}]+)`, 'u');
  return (text) => {
    if (!pattern.test(text)) return text.normalize(form);
    return text
      .split(pattern)
      .map((part, i) => (i % 2 === 1 ? part : part.normalize(form)))
      .join('');
  };
}
