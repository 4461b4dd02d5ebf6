import koffi from "koffi"
import { KvError } from "../../errors/kv-error.ts"

/**
 * The C types that our tables use. Addresses are plain numbers (`ptr`): user space lies below 2^53 on every
 * platform we run on, and a number crosses the edge faster than a bigint.
 */
const koffiTypes = {
  i32: "int",
  u32: "unsigned int",
  i64: "int64_t",
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

type Value<T extends CType> = T extends "cstring" ? string : number
type Arguments<P extends readonly CType[]> = { -readonly [I in keyof P]: Value<P[I]> }

/** The functions of a table as TypeScript calls them. */
export type Bound<Table extends SymbolTable> = {
  readonly [Name in keyof Table]: (
    ...args: Arguments<Table[Name]["parameters"]>
  ) => Value<Table[Name]["result"]>
}

/**
 * Opens the first of `files` that loads and binds every function of `table`.
 *
 * @throws KvError KV_TRANSPORT_UNAVAILABLE naming the files tried and the loader's words.
 */
export function bindLibrary<Table extends SymbolTable>(
  files: readonly string[],
  table: Table,
): { readonly file: string; readonly functions: Bound<Table> } {
  const failures: string[] = []
  for (const file of files) {
    try {
      const library = koffi.load(file)
      const functions: Record<string, unknown> = {}
      for (const [name, { result, parameters }] of Object.entries(table)) {
        functions[name] = library.func(
          name,
          koffiTypes[result],
          parameters.map((type) => koffiTypes[type]),
        )
      }
      return { file, functions: functions as Bound<Table> }
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

/** The `errno` that the calling thread's last native call left. */
export const errno = (): number => koffi.errno()
