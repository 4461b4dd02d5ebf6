/** What a block of a map can hold: its letter, the class of its colour, its name in a count, and the legend's words. */
export interface BlockKind {
  readonly letter: string
  readonly style: string
  readonly name: string
  readonly text: string
}

/** Every letter of a `BlockMap`, in the order of the legend. */
export const blockKinds: readonly BlockKind[] = [
  { letter: "o", style: "right", name: "right", text: "right: what was asked for" },
  { letter: "z", style: "zeros", name: "zeros", text: "zeros" },
  { letter: "p", style: "poison", name: "untouched", text: "untouched: still what was there before" },
  { letter: "b", style: "base", name: "region's base", text: "the base of the source's region" },
  { letter: "x", style: "other", name: "another place", text: "another place of the source" },
  { letter: "s", style: "stale", name: "older epoch", text: "what this place held in an older epoch" },
  { letter: "?", style: "odd", name: "anything else", text: "anything else" },
  { letter: "!", style: "stray", name: "stray", text: "stray: written where nothing was to be written" },
  { letter: ".", style: "nothing", name: "nothing", text: "nothing was expected, nothing came" },
]

/** The kind of a letter; what is no letter of ours is "anything else". */
export function blockKind(letter: string): BlockKind {
  return blockKinds.find((kind) => kind.letter === letter) ?? blockKinds.find(({ style }) => style === "odd")!
}
