import { processSymbols } from "./ffi/nixl.ts"
import { bindProcess } from "./ffi/symbols.ts"

/**
 * Lets the process end without the destructors of the libraries that it has loaded until now.
 *
 * Those of NIXL's wheels (1.5.1: libnl-route, which UCX loads) end every process with SIGSEGV once a UCX backend was
 * made, also a C program that destroys its agent first. That would turn each exit code into 139. The C library runs what
 * was registered last first: call this when the libraries are there, and again when more may be. The exit code stays.
 * @see on_exit(3)
 */
export function leaveAtExit(): void {
  const { dlsym, on_exit } = bindProcess(processSymbols)
  on_exit(dlsym(0, "_exit"), 0)
}

/** Ends the process at once, whatever its threads are inside of. @see _exit(2) */
export function leaveNow(code: number): void {
  bindProcess(processSymbols)._exit(code)
}
