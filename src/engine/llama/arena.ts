import { KvError } from "../../errors/kv-error.ts"
import { type WasmMemory, wasmMemoryBytesMax, wasmPageBytes } from "../kernels/webassembly.ts"
import { modelInvalid } from "../model-error.ts"

/** Plans one block of memory before it exists: every part is reserved first, then all are allocated at once. */
export interface ArenaPlan {
  /** Reserves `floats` numbers of fp32. Returns their address in bytes, a multiple of 64. */
  reserve(floats: number): number
  /**
   * Allocates everything reserved, zeroed.
   * @throws KvError KV_MODEL_INVALID beyond the reach of an address, KV_OS when the system has no such memory.
   */
  allocate(): Arena
}

/** Memory that the kernels and this side share. */
export interface Arena {
  readonly memory: WasmMemory
  /** The whole memory; the number at byte address `a` is `floats[a / 4]`. */
  readonly floats: Float32Array
}

/** Begins an empty plan. */
export function planArena(): ArenaPlan {
  let bytes = 0
  return {
    reserve: (floats) => {
      const address = bytes
      bytes += Math.ceil((floats * 4) / 64) * 64
      return address
    },
    allocate: () => {
      if (bytes > wasmMemoryBytesMax) {
        throw modelInvalid(
          `the model needs ${bytes} bytes for its fp32 weights and one sequence`,
          `the embedded engine reaches ${wasmMemoryBytesMax} bytes`,
          "lower the context, choose a smaller model, or run it on an external engine",
        )
      }
      const pages = Math.max(1, Math.ceil(bytes / wasmPageBytes))
      const memory = allocated(pages)
      return { memory, floats: new Float32Array(memory.buffer) }
    },
  }
}

function allocated(pages: number): WasmMemory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages })
  } catch (error) {
    throw new KvError("KV_OS", {
      what: `${pages * wasmPageBytes} bytes of memory for the model could not be allocated`,
      ...(error instanceof Error ? { why: error.message } : {}),
      next: "free memory, raise the limit on address space (ulimit -v), or lower the context",
      cause: error,
    })
  }
}
