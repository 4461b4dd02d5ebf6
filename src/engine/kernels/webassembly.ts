/** The memory of one instance. Its `buffer` is at most 4 GiB. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer
}

interface WasmNamespace {
  readonly Memory: new (size: { readonly initial: number; readonly maximum: number }) => WasmMemory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
    imports: { readonly env: { readonly memory: WasmMemory } },
  ) => { readonly exports: Readonly<Record<string, unknown>> }
}

declare global {
  // The compiler's libraries declare this only together with the whole DOM.
  const WebAssembly: WasmNamespace
}

/** Bytes of one page, the unit in which memory is asked for. */
export const wasmPageBytes = 65_536

/** The most bytes that one memory can have: 32-bit addresses. */
export const wasmMemoryBytesMax = 65_536 * wasmPageBytes
