/** Copies of the repository in which mutants are compiled and run: the sources that are worked on are never touched. */
import { spawn } from "node:child_process"
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { root } from "./setup.mjs"

const leftOut = ["node_modules", "dist", ".git", "mutants", "target"]
/** What a compiler says of unused names is no kill: a mutant may leave some behind. */
const lenient = [
  ...["--noUnusedLocals", "false", "--noUnusedParameters", "false"],
  ...["--allowUnreachableCode", "true"],
]

export class Workshop {
  #folder = mkdtempSync(join(tmpdir(), "kvferry-mutants-"))
  benches

  constructor(jobs) {
    this.benches = Array.from({ length: jobs }, (_, i) => new Bench(join(this.#folder, String(i))))
  }

  /** Copies the repository to the first bench, compiles there, and copies that to the others. */
  async build() {
    const [first, ...others] = this.benches
    cpSync(root, first.folder, {
      recursive: true,
      filter: (path) => !leftOut.includes(relative(root, path)),
    })
    symlinkSync(join(root, "node_modules"), join(first.folder, "node_modules"))
    const problem = await first.compile()
    if (problem !== undefined) throw new Error(`the sources do not compile: ${problem}`)
    for (const other of others)
      cpSync(first.folder, other.folder, { recursive: true, verbatimSymlinks: true })
  }

  close() {
    for (const bench of this.benches) bench.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** One copy, and whatever runs in it. */
class Bench {
  folder
  /** The mutant that is judged here, or "control"; undefined between them. */
  mutant
  /** What runs, for people, and since when: milliseconds since 1970, like `since` of the mutant. */
  where = ""
  since = 0
  whereSince = 0
  #running

  constructor(folder) {
    this.folder = folder
  }

  begin(mutant) {
    this.mutant = mutant
    this.since = Date.now()
    this.goTo("begins")
  }

  goTo(where) {
    this.where = where
    this.whereSince = Date.now()
  }

  end() {
    this.mutant = undefined
  }

  /** @returns why this is no mutant; undefined when it is compiled. */
  async apply({ file }) {
    const { status, text } = await this.run("git", ["apply", file])
    return status === 0 ? this.compile() : `it does not apply: ${lastLine(text)}`
  }

  /** The next mutant is compiled anew: nothing of this one is left then. */
  async revert({ file }) {
    await this.run("git", ["apply", "-R", file])
  }

  async compile() {
    this.goTo("compiling")
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
    const { status, text } = await this.run(process.execPath, [tsc, "-p", this.folder, ...lenient])
    return status === 0 ? undefined : `it does not compile: ${text.split("\n")[0]}`
  }

  /**
   * Runs a program in this copy.
   * @param options.heard hears all of its standard output so far, and ends it by returning true.
   * @param options.quietMillis when it has said nothing for so long, it has fallen silent and is ended.
   */
  run(command, args, { millis = 600_000, quietMillis = millis, heard = () => false } = {}) {
    return new Promise((resolve) => {
      const env = { ...process.env, GIT_CEILING_DIRECTORIES: this.folder }
      delete env.NODE_TEST_CONTEXT
      const child = spawn(command, args, {
        cwd: this.folder,
        env,
        stdio: ["ignore", "pipe", "pipe"],
        detached: true,
      })
      this.#running = child
      let text = ""
      let timedOut = false
      let fellSilent = false
      const timer = setTimeout(() => {
        timedOut = true
        this.stop()
      }, millis)
      const silence = setTimeout(() => {
        fellSilent = !timedOut
        this.stop()
      }, quietMillis)
      child.stdout.setEncoding("utf8").on("data", (chunk) => {
        text += chunk
        silence.refresh()
        if (heard(text)) this.stop()
      })
      child.stderr.setEncoding("utf8").on("data", (chunk) => {
        text += chunk
      })
      child.once("error", (error) => resolve({ status: -1, text: error.message, timedOut, fellSilent }))
      child.once("close", (status) => {
        clearTimeout(timer)
        clearTimeout(silence)
        this.#running = undefined
        resolve({ status: status ?? -1, text, timedOut, fellSilent })
      })
    })
  }

  stop() {
    if (this.#running === undefined) return
    try {
      process.kill(-this.#running.pid, "SIGKILL")
    } catch {
      // It has ended meanwhile.
    }
  }
}

function lastLine(text) {
  return text.trim().split("\n").at(-1) ?? ""
}
