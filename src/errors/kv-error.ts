import { errorCodes, type KvErrorCode } from "./codes.ts"

/** What a tired reader needs: what happened with its numbers, why if it is known, what to do next. */
export interface KvErrorText {
  /** What happened, with the numbers. */
  readonly what: string
  /** Why, when it is known. A guess has no place here. */
  readonly why?: string
  /** What the reader can do about it. */
  readonly next?: string
  /** The error below this one: provider, call and errno survive. */
  readonly cause?: unknown
  /**
   * True for a transfer that was given up while a library may still write into its target: that memory must not be used
   * again in this process. Without it everything that has ended has let go of its memory.
   */
  readonly mayStillWrite?: true
}

/** An error of the world, never of our own logic: that is an `assert`. */
export class KvError extends Error {
  override readonly name = "KvError"
  readonly code: KvErrorCode
  readonly what: string
  readonly why: string | undefined
  readonly next: string | undefined
  readonly mayStillWrite: boolean

  constructor(code: KvErrorCode, text: KvErrorText) {
    super(sentence(text), text.cause === undefined ? undefined : { cause: text.cause })
    this.code = code
    this.what = text.what
    this.why = text.why
    this.next = text.next
    this.mayStillWrite = text.mayStillWrite === true
  }

  /** The process exit code that this error stands for. */
  get exitCode(): 1 | 2 | 3 | 130 {
    return errorCodes[this.code].exit
  }

  /** The HTTP status that this error stands for. */
  get status(): number {
    return errorCodes[this.code].status
  }

  toJSON(): KvErrorRecord {
    return {
      code: this.code,
      what: this.what,
      ...(this.why === undefined ? {} : { why: this.why }),
      ...(this.next === undefined ? {} : { next: this.next }),
      ...(this.mayStillWrite ? { mayStillWrite: true } : {}),
    }
  }
}

/** A `KvError` as it crosses a process boundary. */
export interface KvErrorRecord {
  readonly code: KvErrorCode
  readonly what: string
  readonly why?: string
  readonly next?: string
  /** About the memory of whoever wrote the record: another process's word about it binds nobody. */
  readonly mayStillWrite?: true
}

/** True when `code` is one of ours. */
export function isKvErrorCode(code: unknown): code is KvErrorCode {
  return typeof code === "string" && Object.hasOwn(errorCodes, code)
}

/** Rebuilds the error that another thread or process sent as a record; anything else becomes `fallback`. */
export function kvErrorFromRecord(record: unknown, fallback: KvErrorCode): KvError {
  if (typeof record === "object" && record !== null && "code" in record && "what" in record) {
    const { code, what } = record
    const why = "why" in record && typeof record.why === "string" ? { why: record.why } : {}
    const next = "next" in record && typeof record.next === "string" ? { next: record.next } : {}
    // A code of a newer version is not ours, but its words are worth keeping.
    if (typeof what === "string") {
      return new KvError(isKvErrorCode(code) ? code : fallback, { what, ...why, ...next })
    }
  }
  const shown = JSON.stringify(record)?.slice(0, 200) ?? "nothing"
  return new KvError(fallback, { what: `the other side failed without saying why: ${shown}` })
}

/** Turns whatever was thrown into a `KvError`; one that already is passes through. */
export function asKvError(thrown: unknown, code: KvErrorCode, what: string): KvError {
  if (thrown instanceof KvError) return thrown
  const why = thrown instanceof Error ? thrown.message : String(thrown)
  return new KvError(code, { what, why, cause: thrown })
}

function sentence({ what, why, next }: KvErrorText): string {
  return [what, why === undefined ? "" : `why: ${why}`, next === undefined ? "" : `next: ${next}`]
    .filter((part) => part !== "")
    .join("; ")
}
