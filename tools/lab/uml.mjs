/** A Linux kernel as an ordinary program: no emulation, no privileges, one CPU. */
import { readFileSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { umlKernel } from "./kernel.mjs"
import { cannotRun, lastLines, Trouble } from "./trouble.mjs"

/** Beyond its memory, a guest writes nothing on the host. */
const roomMarginBytes = 16 * 2 ** 20

/**
 * @returns what `runGuest` spawns, for the folder that the guest reads at boot
 * @throws Trouble where a guest of this memory cannot run
 */
export async function umlMachine(options, _mounts, progress) {
  const memoryFolder = placeForMemory(options.memoryMiB * 2 ** 20)
  const kernel = await umlKernel(progress)
  return (run) => ({
    program: "taskset",
    arguments: [
      "--cpu-list",
      String(oneProcessor()),
      kernel,
      `mem=${options.memoryMiB}M`,
      "root=/dev/root",
      "rootfstype=hostfs",
      "rootflags=/",
      "ro",
      `init=${run}/init`,
      `kvferry_lab=${run}`,
      `uml_dir=${run}/`,
      "con=null",
      "con0=null,fd:6",
      "con1=null,fd:3",
      "con2=null,fd:4",
      "con3=null,fd:5",
      "ssl=null",
      ...(options.verbose ? [] : ["quiet"]),
    ],
    environment: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: run, TMPDIR: memoryFolder },
    channels: { output: "/dev/tty1", errors: "/dev/tty2", reports: "/dev/tty3" },
  })
}

/**
 * The one processor of this machine that the guest runs on. Its kernel and what it traces take turns, never at once:
 * on two processors each turn is a wake-up across them, a third more work and three times as long on a busy machine.
 */
function oneProcessor() {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0"
  const allowed = list.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
  return allowed[process.pid % allowed.length]
}

/**
 * Where the guest's memory lies: an unlinked file, which the kernel maps executable.
 *
 * @throws Trouble with the room of each folder that was looked at
 */
export function placeForMemory(bytes, folders = ["/dev/shm", tmpdir(), "/var/tmp"], table = mounted()) {
  const refused = []
  for (const folder of new Set(folders)) {
    const why = unfit(folder, bytes + roomMarginBytes, table)
    if (why === undefined) return folder
    refused.push(`${folder}: ${why}`)
  }
  throw new Trouble(cannotRun, {
    what: `no place for the guest's memory of ${bytes / 2 ** 20} MiB`,
    why: refused.join("\n        "),
    next: "name a folder that has the room in TMPDIR, enlarge /dev/shm (docker run --shm-size=3g), or ask for less with --memory",
  })
}

function unfit(folder, bytes, table) {
  try {
    const { bavail, bsize } = statfsSync(folder)
    if (bavail * bsize < bytes)
      return `${Math.floor((bavail * bsize) / 2 ** 20)} MiB free of the ${Math.ceil(bytes / 2 ** 20)} that are needed`
    return mountOptions(folder, table).includes("noexec") ? "mounted noexec" : undefined
  } catch (error) {
    return error.code ?? error.message
  }
}

function mounted() {
  return readFileSync("/proc/self/mounts", "utf8")
}

/** The options of the mount that a folder lies in; the last of the longest wins. */
function mountOptions(folder, table) {
  let best = { target: "", options: [] }
  for (const line of table.split("\n")) {
    const [, escaped = "", , options = ""] = line.split(" ")
    const target = escaped.replaceAll(/\\(\d{3})/g, (_, octal) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    )
    const holds =
      target !== "" && (folder === target || folder.startsWith(target === "/" ? "/" : `${target}/`))
    if (holds && target.length >= best.target.length) best = { target, options: options.split(",") }
  }
  return best.options
}

/** Where no process may trace its children, as some containers forbid, the console's last words say so. */
export function umlRefusal(console) {
  if (!/ptrace/i.test(console)) return undefined
  return new Trouble(cannotRun, {
    what: "the guest's kernel may not trace its processes on this machine",
    why: lastLines(console, 4),
    next: "allow ptrace (docker run --cap-add SYS_PTRACE, or --security-opt seccomp=unconfined), or try --machine qemu",
  })
}
