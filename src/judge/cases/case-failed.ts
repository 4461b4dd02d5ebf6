import type { Finding } from "../verify-document.ts"

/** The first block of a case that was wrong, with its bytes. */
export interface WrongBlock {
  readonly agent: string
  readonly layer: number
  readonly block: number
  /** Bytes from the start of the layer's region. */
  readonly offset: number
  readonly expected: Uint8Array
  readonly found: Uint8Array
}

/** A case that found something. */
export class CaseFailed extends Error {
  override readonly name = "CaseFailed"
  readonly finding: Finding
  readonly wrongBlock: WrongBlock | undefined

  constructor(finding: Finding, wrongBlock?: WrongBlock) {
    super(finding.text)
    this.finding = finding
    this.wrongBlock = wrongBlock
  }
}

/** A case that says nothing of this engine, and why. */
export class NotSupported extends Error {
  override readonly name = "NotSupported"
}

/** Throws a finding when something that must hold does not. */
export function hold(condition: boolean, kind: string, text: string): asserts condition {
  if (!condition) throw new CaseFailed({ kind, text })
}
