import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { Script } from "node:vm"
import { readMarkup } from "./markup.test.kit.ts"

/** Text that tries everything: markup, quotes, entities, terminal controls, turned writing, half a surrogate pair. */
export const hostile =
  "\"><script>alert(1)</script><img src=x onerror=alert(1)>' onclick='x' &lt;&amp;b> \u001b[31mred\u0007\u0000\u202edecoy\u2069 \ud800 \u0085\u2028 </style></title></svg> javascript:alert(1)"

/** What holds of every page of ours, whatever came into it. */
export function assertPageRules(page: string): void {
  const { tags } = readMarkup(page)
  const between = (name: string): string => new RegExp(`<${name}>([^]*?)</${name}>`).exec(page)?.[1] ?? ""
  const hash = (source: string): string => `'sha256-${createHash("sha256").update(source).digest("base64")}'`
  const policy =
    tags
      .find(({ attributes }) => attributes.get("http-equiv") === "Content-Security-Policy")
      ?.attributes.get("content") ?? ""
  assert.ok(policy.startsWith("default-src 'none'; "))
  assert.ok(policy.includes(`style-src ${hash(between("style"))};`))
  assert.ok(!policy.includes("unsafe"))
  const scripts = tags.filter(({ name }) => name === "script")
  assert.ok(scripts.length <= 1)
  if (scripts.length === 1) {
    const script = between("script")
    new Script(script)
    assert.ok(policy.includes(`script-src ${hash(script)};`))
    assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(/)
  } else {
    assert.ok(!policy.includes("script-src"))
  }
  const ids = tags.flatMap(({ attributes }) => attributes.get("id") ?? [])
  assert.equal(new Set(ids).size, ids.length, "an id stands twice")
  for (const { name, attributes, path } of tags) {
    for (const attribute of attributes.keys()) assert.doesNotMatch(attribute, /^(on|style$|src$)/)
    const link = attributes.get("href")
    if (link !== undefined) assert.match(link, name === "link" ? /^data:image/ : /^#/)
    if (link?.startsWith("#") === true) assert.ok(ids.includes(link.slice(1)), `${link} leads nowhere`)
    const label = attributes.get("aria-labelledby")
    if (label !== undefined) assert.ok(ids.includes(label), `${label} labels nothing`)
    if (name === "th") assert.match(attributes.get("scope") ?? "", /^(col|row|rowgroup)$/)
    // A picture says what it is, or that it is only decoration. Marks are pictures within a picture.
    if (name === "svg" && !path.includes("svg")) {
      assert.ok(attributes.get("role") === "img" || attributes.get("aria-hidden") === "true")
    }
  }
  const pictures = page.match(/<svg[^>]*role="img"[^>]*>/g)?.length ?? 0
  assert.equal(page.match(/<svg[^>]*role="img"[^>]*><title>[^<]+<\/title>/g)?.length ?? 0, pictures)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these must not be there
  assert.doesNotMatch(page, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u2028\u2029]/)
}

/** The document with every text in it made hostile, but for the words that the types allow only some of. */
export function withHostileTexts<T>(document: T, kept: ReadonlySet<string>): T {
  if (typeof document === "string") return `${document.slice(0, 3)}${hostile}` as T
  if (Array.isArray(document)) return document.map((one) => withHostileTexts(one, kept)) as T
  if (typeof document !== "object" || document === null) return document
  return Object.fromEntries(
    Object.entries(document).map(([key, value]) => [
      key,
      kept.has(key) ? value : withHostileTexts(value, kept),
    ]),
  ) as T
}
