/** What a recognised cause means, for people. */
const causes: Readonly<Record<string, string>> = {
  "base-address": "the base address of the region was read",
  stale: "the bytes are of an older epoch",
  "swapped-planes": "keys and values changed places",
  "lost-tail": "the end of a piece did not arrive",
  zeros: "zeros arrived",
  untouched: "nothing arrived",
  shifted: "the bytes belong a little further on",
  "other-block": "another block arrived",
  "other-layer": "another layer arrived",
  "other-region": "another region arrived",
  stray: "bytes were written where none belong",
}

const kinds: Readonly<Record<string, string>> = {
  "wrong-bytes": "wrong bytes",
  hang: "no end in its time",
  "no-error": "no error where there had to be one",
  "wrong-error": "another error than it had to be",
  crash: "a process died",
  lied: "said done, and was not",
  leak: "something was not given back",
}

/** A stable word of ours as a reader's sentence; words that are not known here lose their hyphens. */
export const causeText = (cause: string): string => own(causes, cause) ?? cause.replaceAll("-", " ")
export const kindText = (kind: string): string => own(kinds, kind) ?? kind.replaceAll("-", " ")

const own = (texts: Readonly<Record<string, string>>, word: string): string | undefined =>
  Object.hasOwn(texts, word) ? texts[word] : undefined
