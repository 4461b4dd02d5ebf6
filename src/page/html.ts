/** A piece of HTML or SVG that is safe to stand in a document: made by `html` only. */
export class Markup {
  readonly #text: string

  private constructor(text: string) {
    this.#text = text
  }

  /** Says that `text` is markup of ours, such as a style. Never for anything that came from outside. */
  static ours(text: string): Markup {
    return new Markup(text)
  }

  toString(): string {
    return this.#text
  }
}

/** What can stand between pieces of markup: text is escaped, absent things are nothing, lists follow one another. */
export type Part = Markup | string | number | false | undefined | readonly Part[]

/**
 * Markup with holes. Whatever text comes into a hole stays text, between tags as within the quotes of an attribute.
 *
 * Every attribute with a hole must be in double quotes; holes in the names of tags and attributes are for `Markup` only.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return Markup.ours(strings.reduce((text, string, i) => text + rendered(parts[i - 1]) + string))
}

function rendered(part: Part): string {
  if (part === undefined || part === false) return ""
  if (part instanceof Markup) return part.toString()
  if (typeof part === "number") return String(part)
  if (typeof part === "string") return escapeHtml(part)
  return part.map(rendered).join("")
}

/**
 * Text from anywhere that stands safely in HTML, within quotes and without. What a reader could not see, or what would
 * turn the direction of writing, is shown as its number; line ends and tabs stay.
 */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => names[char]!).replace(unseen, shown)
}

const names: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
}
/** Controls but tab and line feed, format characters, halves of surrogate pairs, and what Unicode has no use for. */
const unseen = /(?![\t\n])[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/gu
const shown = (char: string): string => `\\u{${char.codePointAt(0)!.toString(16)}}`
