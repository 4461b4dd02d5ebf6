import assert from "node:assert/strict"

/** Elements of HTML that have no end. */
const empty = new Set(["meta", "link", "br", "hr", "img", "input", "wbr"])
/** Elements whose content is text up to their end. */
const raw = new Set(["style", "script"])

/** An element's start as it stands in a document. */
export interface Tag {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  /** Elements around it, outermost first. */
  readonly path: readonly string[]
}

/**
 * Reads a whole document as strictly as XML would be read: every element is closed in order, every attribute quoted and
 * once, every `&` and `<` part of the markup. Returns its elements and its text.
 */
export function readMarkup(document: string): { readonly tags: readonly Tag[]; readonly text: string } {
  const tags: Tag[] = []
  const open: string[] = []
  let text = ""
  let at = document.startsWith("<!doctype html>\n") ? "<!doctype html>\n".length : 0
  while (at < document.length) {
    const next = document.indexOf("<", at)
    const end = next < 0 ? document.length : next
    text += decoded(document.slice(at, end))
    if (next < 0) break
    const tag = tagAt(document, next)
    at = next + tag.length
    if (tag.closes) {
      assert.equal(
        open.pop(),
        tag.name,
        `</${tag.name}> closes another element, near ${near(document, next)}`,
      )
      continue
    }
    tags.push({ name: tag.name, attributes: tag.attributes, path: [...open] })
    if (tag.ended || empty.has(tag.name)) continue
    if (raw.has(tag.name)) {
      const close = document.indexOf(`</${tag.name}>`, at)
      assert.ok(close >= 0, `<${tag.name}> has no end`)
      at = close + tag.name.length + 3
      continue
    }
    open.push(tag.name)
  }
  assert.deepEqual(open, [], "elements without an end")
  return { tags, text }
}

function tagAt(document: string, at: number) {
  const match = /^<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z][a-zA-Z0-9-]*(?:="[^"<]*")?)*)\s*(\/?)>/.exec(
    document.slice(at, at + 200_000),
  )
  assert.ok(match, `no tag: ${near(document, at)}`)
  const attributes = new Map<string, string>()
  for (const [, name, value] of match[3]!.matchAll(/\s+([a-zA-Z][a-zA-Z0-9-]*)(?:="([^"<]*)")?/g)) {
    assert.ok(!attributes.has(name!), `${name} twice: ${near(document, at)}`)
    attributes.set(name!, decoded(value ?? ""))
  }
  return {
    name: match[2]!,
    closes: match[1] === "/",
    ended: match[4] === "/",
    attributes,
    length: match[0].length,
  }
}

const near = (document: string, at: number): string => JSON.stringify(document.slice(at, at + 120))

const entities: Readonly<Record<string, string>> = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&#39;": "'",
}

function decoded(text: string): string {
  return text.replace(/&[^\s;]*;?/g, (entity) => {
    assert.ok(Object.hasOwn(entities, entity), `${JSON.stringify(entity)} is no entity of ours`)
    return entities[entity]!
  })
}
