import { KvError } from "../errors/kv-error.ts"

/** A model folder that cannot be used: which file, with the numbers, and what to do. */
export function modelInvalid(what: string, why?: string, next?: string, cause?: unknown): KvError {
  return new KvError("KV_MODEL_INVALID", {
    what,
    ...(why === undefined ? {} : { why }),
    next: next ?? "check that the model folder was downloaded or copied completely",
    ...(cause === undefined ? {} : { cause }),
  })
}
