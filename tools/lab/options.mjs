/** What `npm run lab` was asked to do. */
import { isAbsolute, resolve } from "node:path"
import { Trouble } from "./trouble.mjs"

export const usage = `usage: npm run lab [-- [OPTION …] [--] COMMAND …]

Boots a Linux with RDMA in software as an ordinary process, runs COMMAND in it, and ends with its exit code.
Without a command, the RDMA suites run: every *.lab.test.js below dist/, and the lab's own tests.

  --machine uml|qemu  the kernel as a program (uml), or Debian's own kernel in an emulated PC  (uml)
  --timeout SECONDS   the guest is ended after this time, with code 124            (300; suites 2700, qemu 7200)
  --memory MiB        the guest's memory, its /tmp and /dev/shm included                       (2048)
  --rails N           RDMA devices rxe0, rxe1, … one a network, 0 to 16                        (2)
  --wire              one wire too: a cable with an RDMA device on each end, rxw0 and rxw1
  --wires N           N such wires, 0 to 8: rxw0-rxw1, rxw2-rxw3, …                            (0)
  --view FOLDER       shows the guest this folder too, read-only; may be given again
  --env NAME[=VALUE]  gives the command this variable; may be given again
  --verbose           tells where the time went, and what the guest's kernel said
  --help              this text

Codes: the command's own; 124 after the time limit, 125 when the guest died, 77 where the lab cannot run,
2 for a bad option, 130 and 143 when it was interrupted. Explained in docs/lab.md.
`

const counts = {
  "--timeout": { name: "timeoutSeconds", min: 1, max: 86_400 },
  "--memory": { name: "memoryMiB", min: 256, max: 65_536 },
  "--rails": { name: "rails", min: 0, max: 16 },
  "--wires": { name: "wires", min: 0, max: 8 },
}

/**
 * Options end at the first word that is none, or at `--`; what follows is the command, word for word.
 *
 * @throws Trouble with code 2
 */
export function parseOptions(argv, cwd = process.cwd()) {
  const options = {
    machine: "uml",
    timeoutSeconds: undefined,
    memoryMiB: 2048,
    rails: 2,
    wires: 0,
    views: [],
    variables: [],
    verbose: false,
    help: false,
    cwd,
    command: [],
  }
  const words = [...argv]
  while (words.length > 0 && words[0].startsWith("-")) {
    const word = words.shift()
    if (word === "--") break
    const equals = word.startsWith("--") ? word.indexOf("=") : -1
    const name = equals < 0 ? word : word.slice(0, equals)
    const value = () => {
      const found = equals < 0 ? words.shift() : word.slice(equals + 1)
      if (found === undefined || found === "") throw wrong(`${name} needs a value`)
      return found
    }
    if (equals >= 0 && flags[name] !== undefined) throw wrong(`${name} takes no value`)
    if (flags[name] !== undefined) flags[name](options)
    else if (counts[name] !== undefined) options[counts[name].name] = count(name, value(), counts[name])
    else if (name === "--machine") options.machine = oneOf(name, value(), ["uml", "qemu"])
    else if (name === "--view") options.views.push(folder(value(), cwd))
    else if (name === "--env") options.variables.push(variable(value()))
    else throw wrong(`there is no option ${JSON.stringify(word)}`)
  }
  return { ...options, timeoutSeconds: options.timeoutSeconds ?? patience(options, words), command: words }
}

/** Seconds for a command, or for all of the suites. */
function patience({ machine }, command) {
  if (command.length > 0) return 300
  return machine === "uml" ? 2700 : 7200
}

const flags = {
  "--wire": (options) => {
    options.wires = Math.max(1, options.wires)
  },
  "--verbose": (options) => {
    options.verbose = true
  },
  "--help": (options) => {
    options.help = true
  },
}

function count(name, text, { min, max }) {
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= min && number <= max) return number
  throw wrong(`${name} is a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`)
}

function oneOf(name, text, names) {
  if (names.includes(text)) return text
  throw wrong(`${name} is ${names.join(" or ")}, not ${JSON.stringify(text)}`)
}

function folder(path, cwd) {
  return isAbsolute(path) ? path : resolve(cwd, path)
}

function variable(text) {
  const equals = text.indexOf("=")
  const name = equals < 0 ? text : text.slice(0, equals)
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw wrong(`${JSON.stringify(name)} is no name of a variable`)
  return equals < 0 ? { name } : { name, value: text.slice(equals + 1) }
}

function wrong(what) {
  return new Trouble(2, { what, next: "npm run lab -- --help tells the options" })
}
