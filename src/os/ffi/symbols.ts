import koffi from "koffi"
import { KvError } from "../../errors/kv-error.ts"

/**
 * The C types that our tables use. Addresses are plain numbers (`ptr`): user space lies below 2^53 on every
 * platform we run on, and a number crosses the edge faster than a bigint.
 */
const koffiTypes = {
  void: "void",
  u8: "uint8_t",
  i32: "int",
  u32: "unsigned int",
  i64: "int64_t",
  u64: "uint64_t",
  usize: "size_t",
  isize: "long",
  ptr: "uintptr_t",
  cstring: "str",
} as const

type CType = keyof typeof koffiTypes

/** One library's functions, by their names. */
export type SymbolTable = Readonly<
  Record<string, { readonly result: CType; readonly parameters: readonly CType[] }>
>

type Value<T extends CType> = T extends "cstring" ? string : T extends "void" ? undefined : number
type Arguments<P extends readonly CType[]> = { -readonly [I in keyof P]: Value<P[I]> }

/** The functions of a table as TypeScript calls them. */
export type Bound<Table extends SymbolTable> = {
  readonly [Name in keyof Table]: (
    ...args: Arguments<Table[Name]["parameters"]>
  ) => Value<Table[Name]["result"]>
}

/** A library's functions, and those of its optional ones that this version of it has. */
export interface BoundLibrary<Table extends SymbolTable, Optional extends SymbolTable> {
  readonly file: string
  readonly functions: Bound<Table>
  readonly optional: Partial<Bound<Optional>>
}

/**
 * Opens the first of `files` that loads and binds every function of `table`, and what there is of `optional`.
 *
 * @throws KvError KV_TRANSPORT_UNAVAILABLE naming the files tried and the loader's words.
 */
export function bindLibrary<Table extends SymbolTable, Optional extends SymbolTable = Record<never, never>>(
  files: readonly string[],
  table: Table,
  optional?: Optional,
): BoundLibrary<Table, Optional> {
  const failures: string[] = []
  for (const file of files) {
    try {
      const library = koffi.load(file)
      const functions = bindAll(library, table)
      const found: Record<string, unknown> = {}
      for (const [name, signature] of Object.entries(optional ?? {})) {
        try {
          found[name] = bind(library, name, signature)
        } catch {
          // This version of the library does not have it: whoever asks for it finds nothing.
        }
      }
      return { file, functions, optional: found as Partial<Bound<Optional>> }
    } catch (thrown) {
      failures.push(`${file}: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    }
  }
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `none of ${files.join(", ")} could be opened`,
    why: failures.join("; "),
    next: "install the library, or put its folder into LD_LIBRARY_PATH",
  })
}

/**
 * Makes a function pointer of native memory callable, as a table of operations holds it.
 *
 * @param name only for the foreign function library's own messages.
 */
export function bindPointer<const S extends SymbolTable[string]>(
  address: number,
  name: string,
  { result, parameters }: S,
): Bound<{ readonly call: S }>["call"] {
  const key = `${name} ${result} ${parameters.join(" ")}`
  let prototype = prototypes.get(key)
  if (prototype === undefined) {
    prototype = koffi.proto(
      koffiTypes[result],
      parameters.map((type) => koffiTypes[type]),
    )
    prototypes.set(key, prototype)
  }
  return koffi.decode(BigInt(address), prototype)
}

/** One prototype for each signature: koffi keeps every one for ever. */
const prototypes = new Map<string, ReturnType<typeof koffi.proto>>()

/**
 * Calls a function of a table on a thread of the pool, so that the calling one goes on meanwhile.
 *
 * It costs about 80 µs: for what takes longer than that by far.
 */
export function callOnPool<A extends readonly unknown[]>(
  call: (...args: A) => number,
  ...args: A
): Promise<{ readonly result: number; readonly errno: number }> {
  const { async: start } = call as unknown as {
    readonly async: (...args: readonly unknown[]) => void
  }
  return new Promise((resolve, reject) => {
    start(...args, (error: Error | null, result: number) => {
      if (error === null) resolve({ result, errno: koffi.errno() })
      else reject(error)
    })
  })
}

/**
 * Functions as this process itself resolves them, whichever library they come from.
 *
 * For `free` that matters: a preloaded allocator takes back only what it gave out itself.
 */
export const bindProcess = <Table extends SymbolTable>(table: Table): Bound<Table> =>
  bindAll(koffi.load(null), table)

function bindAll<Table extends SymbolTable>(library: Library, table: Table): Bound<Table> {
  const functions: Record<string, unknown> = {}
  for (const [name, signature] of Object.entries(table)) functions[name] = bind(library, name, signature)
  return functions as Bound<Table>
}

function bind(library: Library, name: string, { result, parameters }: SymbolTable[string]): unknown {
  return library.func(
    name,
    koffiTypes[result],
    parameters.map((type) => koffiTypes[type]),
  )
}

type Library = ReturnType<typeof koffi.load>

/** The `errno` that the calling thread's last native call left. */
export const errno = (): number => koffi.errno()
