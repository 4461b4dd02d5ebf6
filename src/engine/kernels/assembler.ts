/**
 * Writes the few WebAssembly instructions that the engine's kernels need.
 *
 * Code is built from the inside out: an expression is the bytes that leave one value on the stack, so
 * `mulF32x4(get(a), get(b))` reads like the sum it computes. Nothing here knows about models.
 *
 * @see https://webassembly.github.io/spec/core/binary/ for every opcode
 */
export type Code = readonly number[]

/** The index of a parameter or local of one function. */
export type Local = number & { readonly local: unique symbol }

/** One exported function of a module: its parameters are all i32 (addresses, strides and counts in bytes or items). */
export interface WasmFunction {
  readonly name: string
  readonly parameters: number
  readonly locals: Code
  readonly body: Code
}

const i32Type = 0x7f
const v128Type = 0x7b
const emptyBlock = 0x40

/** Hands out the locals of one function, parameters first. */
export interface Locals {
  i32(): Local
  v128(): Local
  v128s(count: number): readonly Local[]
}

/** Builds one exported function; `body` receives its i32 parameters and a source of locals. */
export function wasmFunction(
  name: string,
  parameters: number,
  body: (parameters: readonly Local[], locals: Locals) => Code,
): WasmFunction {
  const types: number[] = []
  const declare = (type: number): Local => {
    types.push(type)
    return (parameters + types.length - 1) as Local
  }
  const locals: Locals = {
    i32: () => declare(i32Type),
    v128: () => declare(v128Type),
    v128s: (count) => Array.from({ length: count }, () => declare(v128Type)),
  }
  const code = body(
    Array.from({ length: parameters }, (_, index) => index as Local),
    locals,
  )
  const declared = [...unsigned(types.length), ...types.flatMap((type) => [1, type])]
  return { name, parameters, locals: declared, body: code }
}

/** Encodes a module that imports its memory as `env.memory` and exports `functions`. */
export function wasmModule(functions: readonly WasmFunction[]): Uint8Array {
  const types = functions.map(({ parameters }) => [0x60, ...vector(repeat([i32Type], parameters)), 0])
  const memory = [...text("env"), ...text("memory"), 0x02, 0x00, ...unsigned(1)]
  const exports = functions.map(({ name }, index) => [...text(name), 0x00, ...unsigned(index)])
  const codes = functions.map(({ locals, body }) => sized([...locals, ...body, 0x0b]))
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)),
    ...section(2, vector([memory])),
    ...section(3, vector(functions.map((_, index) => unsigned(index)))),
    ...section(7, vector(exports)),
    ...section(10, vector(codes)),
  ])
}

export const get = (local: Local): Code => [0x20, ...unsigned(local)]
export const set = (local: Local, value: Code): Code => [...value, 0x21, ...unsigned(local)]
export const i32 = (value: number): Code => [0x41, ...signed(value)]
export const addI32 = (a: Code, b: Code): Code => [...a, ...b, 0x6a]
export const subI32 = (a: Code, b: Code): Code => [...a, ...b, 0x6b]
export const andI32 = (a: Code, b: Code): Code => [...a, ...b, 0x71]
export const shiftRightI32 = (a: Code, bits: number): Code => [...a, ...i32(bits), 0x76]

/** Moves `local` forward by `amount`. */
export const advance = (local: Local, amount: Code): Code => set(local, addI32(get(local), amount))

/** Runs `body` `count` times; not once when `count` is 0. `counter` is a scratch local. */
export function times(counter: Local, count: Code, body: Code): Code {
  const loop = [
    ...[0x03, emptyBlock],
    ...body,
    ...set(counter, subI32(get(counter), i32(1))),
    ...get(counter),
    ...[0x0d, 0x00],
    0x0b,
  ]
  return [...set(counter, count), 0x02, emptyBlock, ...get(counter), 0x45, 0x0d, 0x00, ...loop, 0x0b]
}

const simd = (opcode: number): Code => [0xfd, ...unsigned(opcode)]
const binary = (opcode: number) => {
  return (a: Code, b: Code): Code => [...a, ...b, ...simd(opcode)]
}
// Alignment 0 promises nothing: the rows of a cache may start anywhere.
const memory = (opcode: number, offset: number): Code => [...simd(opcode), 0, ...unsigned(offset)]

/** Four numbers from `address + offset`; the offset is a constant of the code. */
export const loadV128 = (address: Code, offset = 0): Code => [...address, ...memory(0x00, offset)]
/** One number from `address + offset`, in all four lanes. */
export const loadSplat = (address: Code, offset = 0): Code => [...address, ...memory(0x09, offset)]
export const storeV128 = (address: Code, value: Code, offset = 0): Code => [
  ...address,
  ...value,
  ...memory(0x0b, offset),
]
export const addF32x4 = binary(0xe4)
export const subF32x4 = binary(0xe5)
export const mulF32x4 = binary(0xe6)
export const divF32x4 = binary(0xe7)
export const minF32x4 = binary(0xe8)
export const maxF32x4 = binary(0xe9)
export const lessF32x4 = binary(0x43)
export const addI32x4 = binary(0xae)
/** `a` without the bits of `mask`. */
export const clearBits = (a: Code, mask: Code): Code => [...a, ...mask, ...simd(0x4f)]
export const nearestF32x4 = (a: Code): Code => [...a, ...simd(0x6a)]
export const truncateF32x4 = (a: Code): Code => [...a, ...simd(0xf8)]
export const shiftLeftI32x4 = (a: Code, bits: number): Code => [...a, ...i32(bits), ...simd(0xab)]

/** The same fp32 number in all four lanes. */
export function splatF32(value: number): Code {
  const lane = [...new Uint8Array(Float32Array.of(value).buffer)]
  return [...simd(0x0c), ...lane, ...lane, ...lane, ...lane]
}

/** The same 32-bit integer in all four lanes. */
export function splatI32(value: number): Code {
  const lane = [...new Uint8Array(Int32Array.of(value).buffer)]
  return [...simd(0x0c), ...lane, ...lane, ...lane, ...lane]
}

/** Picks four of the eight lanes of `a` (0 to 3) and `b` (4 to 7). */
export function shuffleF32x4(a: Code, b: Code, lanes: readonly [number, number, number, number]): Code {
  return [...a, ...b, ...simd(0x0d), ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => lane * 4 + byte))]
}

function section(id: number, content: Code): Code {
  return [id, ...sized(content)]
}

function sized(content: Code): Code {
  return [...unsigned(content.length), ...content]
}

function vector(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()]
}

function repeat(item: Code, count: number): Code[] {
  return Array.from({ length: count }, () => item)
}

function text(value: string): Code {
  return sized([...new TextEncoder().encode(value)])
}

/** LEB128 of a number from 0 to 2^32 - 1. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]
}

/** Signed LEB128 of a 32-bit number. */
function signed(value: number): Code {
  const rest = value >> 7
  const last = (rest === 0 && (value & 0x40) === 0) || (rest === -1 && (value & 0x40) !== 0)
  return last ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(rest)]
}
