/** Letters that two names may differ by, to be taken for the same one. */
const editsMax = 2

/** Longest name that is compared: the time grows with the square. */
const lettersMax = 80

/** The name of `names` that `text` most likely means: at most 2 letters away, or with a part left out at the end. */
export function nearestName(text: string, names: readonly string[]): string | undefined {
  if (text.length > lettersMax) return undefined
  let best: string | undefined
  let bestEdits = editsMax + 1
  for (const name of names) {
    const edits = editsBetween(text, name)
    if (edits < bestEdits) [best, bestEdits] = [name, edits]
  }
  return best ?? names.find((name) => name.startsWith(`${text}_`))
}

/** Letters to put in, take out or change, to make one of the other; counted no further than needed. */
function editsBetween(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > editsMax) return editsMax + 1
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
