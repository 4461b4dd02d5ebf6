import { Worker } from "node:worker_threads"

/**
 * Starts a thread that runs a file of ours.
 *
 * A program that came by `--eval` says so in its arguments (`--input-type`), and a thread that reads a file would refuse
 * them: such a thread gets none.
 */
export function startThread(file: URL, workerData: unknown): Worker {
  const evaluated = process.execArgv.some((argument) => argument.startsWith("--input-type"))
  return new Worker(file, { workerData, ...(evaluated ? { execArgv: [] } : {}) })
}
