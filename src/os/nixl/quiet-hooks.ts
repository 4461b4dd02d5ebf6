const hookMode = "UCX_MEM_MMAP_HOOK_MODE"

/**
 * Tells UCX, which NIXL loads, to leave the C library's functions as they are, unless the user has said otherwise.
 *
 * UCX (1.23) rewrites `brk` and its like while it is opened, and tries them out: it lengthens the heap and shortens it
 * again. A thread whose `malloc` lengthens it in between loses its memory, and a Node process has many threads. Without
 * these hooks UCX keeps no cache of registrations; NIXL registers memory explicitly and needs none.
 *
 * On the main thread and before the library is loaded: what another thread puts into `process.env` stays there.
 */
export function quietHooks(): void {
  process.env[hookMode] ??= "none"
}
