import { causes } from "../pattern/causes.ts"

const kinds = {
  "wrong-bytes": "wrong bytes",
  hang: "no end in its time",
  "no-error": "no error where there had to be one",
  "wrong-error": "another error than it had to be",
  crash: "a process died",
  lied: "said done, and was not",
  leak: "something was not given back",
  notes: "a note that is missing, early or twice",
  receipt: "a receipt that is not true",
  "no-reason": "a failure without its reason",
  downgrade: "another path than the one that was asked for",
} as const satisfies Record<string, string>

/** A stable word of ours as a reader's sentence; words that are not known here lose their hyphens. */
export const causeText = (cause: string): string => own(causes, cause)
export const kindText = (kind: string): string => own(kinds, kind)

const own = (texts: Readonly<Record<string, string>>, word: string): string =>
  Object.hasOwn(texts, word) ? texts[word]! : word.replaceAll("-", " ")
