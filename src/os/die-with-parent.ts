import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"

/**
 * Has this process killed when the thread that started it ends, also while it is stopped: then nothing else would reach it.
 * @see prctl(2), PR_SET_PDEATHSIG
 */
export function dieWithParent(): void {
  checkAbi()
  libc.prctl(abi.PR_SET_PDEATHSIG, abi.SIGKILL, 0, 0, 0)
}
