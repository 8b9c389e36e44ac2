/** What a template does wrong, and where. */

/** An error in a template or while it is rendered; `line` is counted from 1 in the template's text. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  line: number | undefined;

  constructor(message: string, line?: number) {
    super(message);
    this.line = line;
  }

  /** "line 3: …", or the message alone where no line is known. */
  get located(): string {
    return this.line === undefined ? this.message : `line ${this.line}: ${this.message}`;
  }
}
