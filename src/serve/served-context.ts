import { readLlamaConfig } from "../engine/hf-config.ts"

/**
 * Tokens of context that are served when nobody says otherwise, of a model that was trained on more: pool and scratch
 * memory grow with it, and this engine computes on a CPU.
 */
const defaultTokensMax = 8192

/** The context that workers and frontends of a model agree on. @throws KvError KV_MODEL_INVALID. */
export function servedContext(directory: string, asked: number | undefined): number {
  return Math.min(asked ?? defaultTokensMax, readLlamaConfig(directory).contextTokens)
}
