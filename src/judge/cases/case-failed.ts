import type { Finding } from "../verify-document.ts"
import type { WrongBlock } from "../wrong-block.ts"

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
