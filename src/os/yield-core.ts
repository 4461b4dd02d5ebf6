import { libc } from "./ffi/libc.ts"

/** Lets another thread that is ready have this core. Returns at once when there is none. */
export function yieldCore(): void {
  libc.sched_yield()
}
