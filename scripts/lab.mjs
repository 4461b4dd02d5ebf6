/** `npm run lab`: runs a command, or the RDMA suites, in a guest that has RDMA. `npm run lab -- --help` tells how. */
import { runInLab } from "../tools/lab/lab.mjs"
import { parseOptions, usage } from "../tools/lab/options.mjs"
import { runSuites } from "../tools/lab/suites.mjs"
import { Trouble } from "../tools/lab/trouble.mjs"
import { filesBelow, root, setUp, tick } from "./setup.mjs"

let clear = () => {}

try {
  const options = parseOptions(process.argv.slice(2), process.env["INIT_CWD"])
  if (options.help) process.stdout.write(usage)
  else {
    await setUp()
    const suites = [...filesBelow("tools/lab"), ...filesBelow("dist")].filter((file) =>
      /[.]lab[.]test[.]m?js$/.test(file),
    )
    const run = (own) => runInLab(own, progress)
    process.exitCode = await (options.command.length > 0
      ? run(options)
      : runSuites(root, suites, options, run))
  }
} catch (error) {
  if (!(error instanceof Trouble)) throw error
  process.stderr.write(`${error}\n`)
  process.exitCode = error.code
}

/** Tells what takes long: a line that counts its seconds on a terminal, a line at its start elsewhere. */
function progress(what) {
  clear()
  clear = () => {}
  if (what === undefined) return
  if (process.stderr.isTTY) clear = tick(what)
  else process.stderr.write(`lab: ${what}\n`)
}
