import { processSymbols } from "../ffi/nixl.ts"
import { bindProcess } from "../ffi/symbols.ts"

let arranged = false

/**
 * Lets the process end without the destructors of the libraries that it has loaded.
 *
 * Those of NIXL's wheels (1.5.1: libnl-route, which UCX loads) end every process with SIGSEGV once a UCX backend was
 * made, a C program that destroys its agent first as well. That would turn each exit code into 139. The C library runs
 * what was registered last first, so this comes before them; the exit code stays. @see on_exit(3)
 */
export function leaveAtExit(): void {
  if (arranged) return
  arranged = true
  const { dlsym, on_exit } = bindProcess(processSymbols)
  on_exit(dlsym(0, "_exit"), 0)
}

/** Ends the process at once, whatever its threads are inside of. @see _exit(2) */
export function leaveNow(code: number): void {
  bindProcess(processSymbols)._exit(code)
}
