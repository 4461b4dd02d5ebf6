import type { LoadDocument } from "../load-document.ts"
import type { VerifyDocument } from "../verify-document.ts"

/** The records that a bundle is about: of one command, or of both. */
export interface BundleDocuments {
  readonly verify?: VerifyDocument
  readonly load?: LoadDocument
}
