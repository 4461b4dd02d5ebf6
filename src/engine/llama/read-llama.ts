import { basename, resolve } from "node:path"
import { KvError } from "../../errors/kv-error.ts"
import { openCheckpoint } from "../checkpoint.ts"
import { readLlamaConfig } from "../hf-config.ts"
import { type LlamaModel, llamaModel } from "./weights.ts"

/** What may differ from the folder's own files. */
export interface ReadLlamaOptions {
  /** The name to serve the model under; the folder's name unless given. */
  readonly name?: string
  /** Most tokens of one sequence; never more than the configuration allows. */
  readonly contextTokens?: number
}

/**
 * Loads a Llama from a Hugging Face folder: `config.json` and safetensors files.
 * @throws KvError KV_MODEL_INVALID naming the file, the field or tensor, and the numbers that do not fit;
 * KV_USAGE for a context that is no whole number of at least 1.
 */
export function readLlama(directory: string, options: ReadLlamaOptions = {}): LlamaModel {
  const { contextTokens } = options
  if (contextTokens !== undefined && !(Number.isSafeInteger(contextTokens) && contextTokens >= 1)) {
    throw new KvError("KV_USAGE", {
      what: `a context of ${contextTokens} tokens was asked for`,
      next: "ask for a whole number of at least 1",
    })
  }
  const config = readLlamaConfig(directory)
  const checkpoint = openCheckpoint(directory)
  try {
    const name = options.name ?? basename(resolve(directory))
    return llamaModel(name, config, checkpoint.read, contextTokens)
  } finally {
    checkpoint.close()
  }
}
