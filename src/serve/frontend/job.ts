import type { Sampling } from "../protocol.ts"
import type { GenerationEndpoint } from "./generation-request.ts"

/** One generation, ready to be sent to workers. */
export interface Job {
  readonly requestId: string
  readonly trace: string
  readonly endpoint: GenerationEndpoint
  readonly stream: boolean
  /** When the request arrived: as ISO 8601, and on the monotonic clock in milliseconds. */
  readonly startedAt: string
  readonly startedMillis: number
  readonly tokens: Uint32Array
  readonly maxTokens: number
  readonly sampling: Sampling
  readonly ignoreEnd: boolean
  readonly stop: readonly string[]
  /** Ask both workers for the hashes that the demo compares. */
  readonly evidence: boolean
}
