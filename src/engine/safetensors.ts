import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { isJsonObject, type JsonObject, kindOf, parseJsonObject } from "./json-file.ts"
import { modelInvalid } from "./model-error.ts"
import { type TensorDtype, tensorDtypeBytes, widenToFp32 } from "./tensor-dtype.ts"

/** Where one tensor lies in its file. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: TensorDtype
  readonly shape: readonly number[]
  /** First byte in the file. */
  readonly offset: number
  readonly bytes: number
}

/** An open safetensors file. Its header has been checked; the numbers are read one tensor at a time. */
export interface SafetensorsFile {
  readonly path: string
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /**
   * The numbers of one tensor, row-major, as fp32.
   * @throws KvError KV_MODEL_INVALID when it is missing, has another shape or dtype, or the file shrank.
   */
  read(name: string, shape: readonly number[]): Float32Array
  close(): void
}

// The limit of the reference implementation: a larger header is an attack or not a header.
const headerBytesMax = 100_000_000
const readBytesMax = 64 * 1024 * 1024

/**
 * Opens a safetensors file and checks its header against the file's length.
 * @throws KvError KV_MODEL_INVALID naming the file, the tensor and the numbers that do not fit.
 * @see https://huggingface.co/docs/safetensors/index#format
 */
export function openSafetensors(path: string): SafetensorsFile {
  const fd = openForReading(path)
  try {
    const fileBytes = fstatSync(fd).size
    const tensors = readHeader(fd, path, fileBytes)
    return {
      path,
      tensors,
      read: (name, shape) => readTensor(fd, path, checkedEntry(tensors, path, name, shape)),
      close: () => closeSync(fd),
    }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function openForReading(path: string): number {
  try {
    return openSync(path, "r")
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw modelInvalid(`${path} cannot be opened`, why, undefined, error)
  }
}

function readHeader(fd: number, path: string, fileBytes: number): Map<string, TensorEntry> {
  if (fileBytes < 8) throw modelInvalid(`${path} has ${fileBytes} bytes; a safetensors file has at least 8`)
  const lengthBytes = new Uint8Array(8)
  readExactly(fd, path, lengthBytes, 0)
  const announced = new DataView(lengthBytes.buffer).getBigUint64(0, true)
  const length = Number(announced)
  if (length > headerBytesMax || 8 + length > fileBytes) {
    throw modelInvalid(
      `${path} announces a header of ${announced} bytes, but the file has ${fileBytes} bytes`,
      length > headerBytesMax ? `a header has at most ${headerBytesMax} bytes` : "the file was cut short",
    )
  }
  const text = new Uint8Array(length)
  readExactly(fd, path, text, 8)
  const header = parseJsonObject(new TextDecoder().decode(text), `the header of ${path}`)
  const entries = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => tensorEntry(path, name, entry, 8 + length))
  checkCoverage(path, entries, 8 + length, fileBytes)
  return new Map(entries.map((entry) => [entry.name, entry]))
}

function tensorEntry(path: string, name: string, value: unknown, dataStart: number): TensorEntry {
  const tensor = `tensor ${name} in ${path}`
  if (!isJsonObject(value)) throw modelInvalid(`${tensor} is described by ${kindOf(value)}, not an object`)
  const dtype = dtypeOf(tensor, value)
  const shape = wholeNumbers(value["shape"])
  if (shape === undefined)
    throw modelInvalid(`${tensor} has no usable shape: ${JSON.stringify(value["shape"])}`)
  const [begin, end, ...rest] = wholeNumbers(value["data_offsets"]) ?? []
  if (begin === undefined || end === undefined || rest.length > 0 || begin > end) {
    throw modelInvalid(`${tensor} has no usable data_offsets: ${JSON.stringify(value["data_offsets"])}`)
  }
  const expected = shape.reduce((product, size) => product * size, 1) * tensorDtypeBytes[dtype]
  if (end - begin !== expected) {
    throw modelInvalid(
      `${tensor} has ${end - begin} bytes; shape [${shape.join(", ")}] of ${dtype} needs ${expected}`,
    )
  }
  return { name, dtype, shape, offset: dataStart + begin, bytes: expected }
}

function dtypeOf(tensor: string, value: JsonObject): TensorDtype {
  const dtype = value["dtype"]
  if (typeof dtype === "string" && Object.hasOwn(tensorDtypeBytes, dtype)) return dtype as TensorDtype
  throw modelInvalid(
    `${tensor} has dtype ${kindOf(dtype)}`,
    `known are ${Object.keys(tensorDtypeBytes).join(", ")}`,
    "save the model again as fp32, fp16 or bf16",
  )
}

function wholeNumbers(value: unknown): number[] | undefined {
  if (!Array.isArray(value)) return undefined
  const numbers = value.filter((item): item is number => Number.isSafeInteger(item) && item >= 0)
  return numbers.length === value.length ? numbers : undefined
}

/** Every byte behind the header belongs to exactly one tensor. */
function checkCoverage(
  path: string,
  entries: readonly TensorEntry[],
  start: number,
  fileBytes: number,
): void {
  let end = start
  let before = "the header"
  for (const { name, offset, bytes } of [...entries].sort(
    (a, b) => a.offset - b.offset || a.bytes - b.bytes,
  )) {
    const tensor = `tensor ${name} in ${path} takes bytes ${offset} to ${offset + bytes}`
    if (offset + bytes > fileBytes) {
      throw modelInvalid(`${tensor}, but the file has ${fileBytes} bytes`, "the file was cut short")
    }
    if (offset < end) throw modelInvalid(`${tensor}, but ${before} ends at byte ${end}: they overlap`)
    if (offset > end) throw modelInvalid(`${tensor}, but ${before} ends at byte ${end}: a hole between them`)
    end = offset + bytes
    before = `tensor ${name}`
  }
  if (end !== fileBytes) {
    throw modelInvalid(`${path} has ${fileBytes} bytes, but its tensors end at byte ${end}`)
  }
}

function checkedEntry(
  tensors: ReadonlyMap<string, TensorEntry>,
  path: string,
  name: string,
  shape: readonly number[],
): TensorEntry {
  const entry = tensors.get(name)
  if (entry === undefined) {
    throw modelInvalid(`tensor ${name} is missing in ${path}, which holds ${tensors.size} tensors`)
  }
  if (entry.shape.length !== shape.length || entry.shape.some((size, index) => size !== shape[index])) {
    throw modelInvalid(
      `tensor ${name} in ${path} has shape [${entry.shape.join(", ")}]; config.json asks for [${shape.join(", ")}]`,
      undefined,
      "use the config.json and the weights of the same model",
    )
  }
  if (entry.dtype !== "F32" && entry.dtype !== "F16" && entry.dtype !== "BF16") {
    throw modelInvalid(
      `tensor ${name} in ${path} is ${entry.dtype}`,
      "the embedded engine reads F32, F16 and BF16",
      "save the model again as fp32, fp16 or bf16",
    )
  }
  return entry
}

function readTensor(fd: number, path: string, entry: TensorEntry): Float32Array {
  const numbers = new Float32Array(entry.bytes / tensorDtypeBytes[entry.dtype])
  if (entry.dtype === "F32") {
    readExactly(fd, path, new Uint8Array(numbers.buffer), entry.offset)
    return numbers
  }
  const piece = new Uint16Array(Math.min(numbers.length, readBytesMax / 2))
  for (let done = 0; done < numbers.length; done += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, numbers.length - done))
    readExactly(fd, path, new Uint8Array(part.buffer, 0, part.byteLength), entry.offset + done * 2)
    widenToFp32(entry.dtype, part, numbers.subarray(done, done + part.length))
  }
  return numbers
}

/** Fills `target` from byte `position` of the file, in pieces: one read of more than 2 GiB would fail. */
function readExactly(fd: number, path: string, target: Uint8Array, position: number): void {
  for (let done = 0; done < target.length; ) {
    const read = readSync(fd, target, done, Math.min(target.length - done, readBytesMax), position + done)
    if (read === 0) {
      throw modelInvalid(
        `${path} ended at byte ${position + done}; ${target.length - done} more bytes were expected`,
        "the file became shorter while it was read",
      )
    }
    done += read
  }
}
