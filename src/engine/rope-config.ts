import { type ConfigFields, configFields } from "./config-fields.ts"
import { isJsonObject, type JsonObject, kindOf } from "./json-file.ts"
import { modelInvalid } from "./model-error.ts"

/** How positions turn into angles. */
export interface RopeConfig {
  /** Base of the geometric series of wavelengths. */
  readonly theta: number
  readonly scaling: RopeScaling
}

/** How a model stretches its angles to reach further than it was first trained for. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | {
      readonly kind: "llama3"
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      /** Context before stretching, in tokens. */
      readonly originalContextTokens: number
    }

/**
 * Reads `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` (before).
 * @throws KvError KV_MODEL_INVALID for a kind of scaling that is not known, or a missing number.
 */
export function readRope(fields: ConfigFields): RopeConfig {
  const newer = section(fields, "rope_parameters")
  const older = section(fields, "rope_scaling")
  const source = newer ?? older ?? {}
  const rope = configFields(
    source,
    `${fields.path}, ${newer === undefined ? "rope_scaling" : "rope_parameters"},`,
  )
  const theta = rope.positive("rope_theta", fields.positive("rope_theta", 10_000))
  const share = rope.positive("partial_rotary_factor", fields.positive("partial_rotary_factor", 1))
  if (share !== 1)
    throw modelInvalid(`${fields.path} rotates ${share} of each head`, "only whole heads are known")
  return { theta, scaling: scaling(rope) }
}

function scaling(rope: ConfigFields): RopeScaling {
  const kind = rope.source["rope_type"] ?? rope.source["type"] ?? "default"
  if (kind === "default") return { kind: "none" }
  if (kind === "linear") return { kind, factor: rope.positive("factor") }
  if (kind === "llama3") {
    const lowFrequencyFactor = rope.positive("low_freq_factor")
    const highFrequencyFactor = rope.positive("high_freq_factor")
    if (highFrequencyFactor <= lowFrequencyFactor) {
      throw modelInvalid(
        `${rope.path} has high_freq_factor ${highFrequencyFactor} and low_freq_factor ${lowFrequencyFactor}`,
        "the first must be larger",
      )
    }
    return {
      kind,
      factor: rope.positive("factor"),
      lowFrequencyFactor,
      highFrequencyFactor,
      originalContextTokens: rope.count("original_max_position_embeddings"),
    }
  }
  throw modelInvalid(
    `${rope.path} has rope_type ${kindOf(kind)}`,
    "the embedded engine knows default, linear and llama3",
    "choose another checkpoint, or run this model on an external engine",
  )
}

function section(fields: ConfigFields, name: string): JsonObject | undefined {
  const value = fields.source[name] ?? undefined
  if (value === undefined || isJsonObject(value)) return value
  throw modelInvalid(`${fields.path} has ${kindOf(value)} as ${name}`, "it must be an object")
}
