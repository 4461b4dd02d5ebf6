/** The lab's promises to who runs it: code, output, environment, view, limits, and nothing left behind. */
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs"
import { homedir, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { before, describe, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { parseOptions } from "./options.mjs"
import { placeForMemory, umlRefusal } from "./uml.mjs"
import { viewLines, viewOf, writeSkeleton } from "./view.mjs"

const checkout = dirname(dirname(import.meta.dirname))
const runner = join(checkout, "scripts", "lab.mjs")
const machine = process.env["KVFERRY_LAB_MACHINE"] ?? "uml"

const folder = mkdtempSync(join(tmpdir(), "lab-test-"))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))

/** Two guests at a time. Each has a temporary folder of its own: what stays in it is a leftover. */
const concurrency = 2

function start(words, { cwd = checkout, temporary = freshFolder(), ...variables } = {}) {
  const env = { ...process.env, TMPDIR: temporary, INIT_CWD: cwd, ...variables }
  return spawn(process.execPath, [runner, "--machine", machine, ...words], { cwd, env })
}

function freshFolder() {
  return mkdtempSync(join(folder, "tmp-"))
}

async function lab(words, variables) {
  const child = start(words, variables)
  return ended(child)
}

async function ended(child) {
  const output = []
  const errors = []
  child.stdout.on("data", (chunk) => output.push(chunk))
  child.stderr.on("data", (chunk) => errors.push(chunk))
  const [code, signal] = await new Promise((resolve) => child.once("close", (...end) => resolve(end)))
  return { code, signal, output: Buffer.concat(output).toString(), errors: Buffer.concat(errors).toString() }
}

/** Processes of guests: the command line names the temporary folder, and what a kernel starts inherits it. */
function guests(temporary) {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((id) => {
      try {
        return readFileSync(`/proc/${id}/cmdline`, "latin1").includes(`${temporary}/`)
      } catch {
        return false
      }
    })
    .map(Number)
}

/** The end of one process may be the end of the next one. */
function kill(id) {
  try {
    process.kill(id, "SIGKILL")
  } catch (error) {
    if (error.code !== "ESRCH") throw error
  }
}

async function nothingIsLeft(temporary) {
  for (let tries = 0; tries < 100 && guests(temporary).length > 0; tries++) await sleep(50)
  assert.deepEqual(guests(temporary), [])
  assert.deepEqual(readdirSync(temporary), [])
}

/** A guest that is up and says so, and then does nothing for an hour. */
async function sleeper() {
  const temporary = freshFolder()
  const child = start(["--", "sh", "-c", "echo up; sleep 3600"], { temporary })
  const end = ended(child)
  await new Promise((resolve, reject) => {
    child.stdout.once("data", resolve)
    child.once("close", () => reject(new Error("the guest ended before it was up")))
  })
  assert.notDeepEqual(guests(temporary), [])
  return { child, end, temporary }
}

describe("a command in the guest", { concurrency }, () => {
  test("its exit code is the run's, and its output and errors stay apart", async () => {
    const temporary = freshFolder()
    const words = ["--", "sh", "-c", "echo said; echo complained >&2; exit 7"]
    const { code, output, errors } = await lab(words, { temporary })
    assert.deepEqual({ code, output, errors }, { code: 7, output: "said\n", errors: "complained\n" })
    await nothingIsLeft(temporary)
  })

  test("one that a signal ends, and one that is not there, have the codes a shell gives them", async () => {
    assert.equal((await lab(["--", "sh", "-c", "kill -SEGV $$"])).code, 139)
    const { code, errors } = await lab(["--", "no-such-program"])
    assert.equal(code, 127)
    assert.match(errors, /no-such-program/)
  })

  test("its words arrive as they were, whatever is in them", async () => {
    const words = ["", " two  blanks ", "a'b\"c", "$HOME `id` \\", "line\nbreak", "--machine", "ünïcödé"]
    const { code, output } = await lab(["--", "printf", "%s\\0", ...words])
    assert.equal(code, 0)
    assert.deepEqual(output.split("\0").slice(0, -1), words)
  })

  test("twenty megabytes of output arrive whole, and bytes are not those of a terminal", async () => {
    const megabyte = (i) => Buffer.alloc(2 ** 20, `${i}\n\r\0\x04\xff`)
    const script = `const megabyte = ${megabyte}; for (let i = 0; i < 20; i++) process.stdout.write(megabyte(i))`
    const expected = createHash("sha256")
    for (let i = 0; i < 20; i++) expected.update(megabyte(i))
    const child = start(["--", "node", "-e", script])
    const found = createHash("sha256")
    child.stdout.on("data", (chunk) => found.update(chunk))
    const code = await new Promise((resolve) => child.once("close", resolve))
    assert.equal(code, 0)
    assert.equal(found.digest("hex"), expected.digest("hex"))
  })

  test("its output comes while it runs", async () => {
    const { child, end } = await sleeper()
    child.kill("SIGTERM")
    assert.equal((await end).output, "up\n")
  })

  test("it is given a short list of variables, and those that are named", async () => {
    const given = { SECRET_TOKEN: "s3cret", OTHER: "o", LANG: "C.UTF-8" }
    const { output } = await lab(["--env", "OTHER", "--env", "NEW=a b", "--", "env"], given)
    const names = output
      .trim()
      .split("\n")
      .map((line) => line.split("=")[0])
    const allowed = [
      "CI",
      "COLORTERM",
      "FORCE_COLOR",
      "HOME",
      "KVFERRY_LAB",
      "LANG",
      "NO_COLOR",
      "PATH",
      "TERM",
      "TZ",
    ]
    assert.deepEqual(names.filter((name) => !allowed.includes(name)).sort(), ["NEW", "OTHER"])
    assert.match(output, /^NEW=a b$/m)
    assert.doesNotMatch(output, /s3cret/)
  })

  test("what it leaves running ends with it", async () => {
    const { code, output } = await lab(["--", "sh", "-c", "sleep 3600 & echo done"])
    assert.deepEqual({ code, output }, { code: 0, output: "done\n" })
  })

  test("it reads an end of input at once", async () => {
    assert.equal((await lab(["--", "cat"])).code, 0)
  })
})

describe("the guest's view", { concurrency }, () => {
  const secret = join(folder, "elsewhere")
  before(() => {
    mkdirSync(secret)
    writeFileSync(join(secret, "key"), "s3cret\n")
  })
  test("holds the checkout and no file of the user's home, of /tmp, or of the rest of the machine", async () => {
    const script = `
      test -e package.json || echo "no checkout"
      for path in "$@"; do test -e "$path" && echo "sees $path"; done
      find / -xdev -name key -size -2 2>/dev/null
      ls /var/lib /var/log /srv 2>/dev/null`
    // Checkout and runtime may lie in the home: what leads to them has to be there.
    const shown = viewOf(checkout, []).map(({ path }) => path)
    const home = readdirSync(homedir())
      .map((name) => join(homedir(), name))
      .filter((path) => !shown.some((other) => other === path || other.startsWith(`${path}/`)))
    const hidden = [...home, secret, "/etc/shadow", "/etc/ssl/private", join(checkout, ".git/config")]
    const { code, output } = await lab(["--", "bash", "-c", `${script}; true`, "sh", ...hidden])
    assert.deepEqual({ code, output }, { code: 0, output: "" })
  })

  test("cannot be widened from within: no mount, no device, no other root", async () => {
    const tries = {
      mount: "mount -t tmpfs none /mnt",
      chroot: "chroot / true",
      unshare: "unshare -m true",
      device: "mknod /tmp/disk b 254 0",
    }
    if (machine === "uml") tries.hostfs = "mount -t hostfs -o / none /mnt"
    const script = Object.entries(tries).map(([name, line]) => `${line} 2>/dev/null && echo ${name} worked`)
    const { output } = await lab(["--", "bash", "-c", script.join("\n")])
    assert.equal(output, "")
  })

  test("a folder that is named is in it, read-only", async () => {
    const script = 'cat "$1/key"; echo changed > "$1/key" || echo refused'
    const words = ["--view", secret, "--", "sh", "-c", script, "sh", secret]
    const { output } = await lab(words)
    assert.equal(output, "s3cret\nrefused\n")
    assert.equal(readFileSync(join(secret, "key"), "utf8"), "s3cret\n")
  })

  test("what is written in the guest does not reach this machine", async () => {
    const marks = [
      join(checkout, "written-in-the-guest"),
      "/tmp/written-in-the-guest",
      "/dev/shm/written-in-the-guest",
    ]
    const script = `
      for path in "$@"; do echo mark > "$path" && cat "$path"; done
      echo changed > package.json && cat package.json
      touch /usr/bin/written-in-the-guest /etc/libibverbs.d/written-in-the-guest; true`
    const original = readFileSync(join(checkout, "package.json"), "utf8")
    const { code, output, errors } = await lab(["--", "sh", "-c", script, "sh", ...marks])
    assert.deepEqual({ code, output }, { code: 0, output: "mark\nmark\nmark\nchanged\n" })
    assert.match(errors, /usr.bin.written-in-the-guest.*Read-only/)
    for (const mark of [...marks, "/usr/bin/written-in-the-guest", "/etc/libibverbs.d/written-in-the-guest"])
      assert.equal(existsSync(mark), false, mark)
    assert.equal(readFileSync(join(checkout, "package.json"), "utf8"), original)
  })

  test("a present folder outside of it is refused, with what to add", async () => {
    const { code, errors } = await lab(["--", "true"], { cwd: secret })
    assert.equal(code, 2)
    assert.match(errors, /--view .*elsewhere/)
  })

  test("packages that a checkout borrows by a link are in it, and so is a runtime in the user's home alone", () => {
    const base = mkdtempSync(join(folder, "borrowed-"))
    for (const name of [
      "checkout/.git",
      "packages",
      "home/node/bin",
      "home/node/lib/node_modules",
      "home/private",
    ])
      mkdirSync(join(base, name), { recursive: true })
    writeFileSync(join(base, "home/node/bin/node"), "")
    spawnSync("ln", ["-s", join(base, "packages"), join(base, "checkout/node_modules")])
    const mounts = viewOf(join(base, "checkout"), [], join(base, "home/node/bin/node"))
    const below = mounts.filter(({ path }) => path.startsWith(base))
    assert.deepEqual(below.map(({ kind, path }) => `${kind} ${path.slice(base.length + 1)}`).sort(), [
      "folder home/node/bin",
      "folder home/node/lib/node_modules",
      "folder packages",
      "hide checkout/.git",
      "layer checkout",
    ])
  })

  test("of /etc it has no password, no key, and not the host's name", () => {
    const base = mkdtempSync(join(folder, "system-"))
    for (const name of ["ssl/private", "libibverbs.d", "ssh"])
      mkdirSync(join(base, "etc", name), { recursive: true })
    for (const name of [
      "shadow",
      "ssl/private/key",
      "libibverbs.d/rxe.driver",
      "ssh/key",
      "hostname",
      "resolv.conf",
    ])
      writeFileSync(join(base, "etc", name), "host")
    writeSkeleton(join(base, "skeleton"), base)
    const files = readdirSync(join(base, "skeleton", "etc"), { recursive: true })
    assert.deepEqual(files.filter((file) => !file.includes(".d")).sort(), [
      "group",
      "hostname",
      "hosts",
      "passwd",
    ])
    assert.equal(readFileSync(join(base, "skeleton/etc/hostname"), "utf8"), "lab\n")
  })

  test("a folder of the guest's own cannot be shown, nor all of the machine, nor what is no folder", () => {
    for (const path of ["/", "/tmp", "/proc", "/dev", "/root", "/nowhere", join(checkout, "package.json")])
      assert.throws(() => viewOf(checkout, [path]), { code: 2 }, path)
  })

  test("a path that would change a mount's options is refused", () => {
    for (const path of ["/a,rw", "/a:b", "/a\tb", "/a\nb", "/a\\b"])
      assert.throws(() => viewLines([{ kind: "folder", path }]), { code: 2 })
  })
})

describe("an end", { concurrency }, () => {
  test("at the time limit has code 124 and says so", async () => {
    const temporary = freshFolder()
    const { code, errors } = await lab(["--timeout", "3", "--", "sleep", "3600"], { temporary })
    assert.equal(code, 124)
    assert.match(errors, /time limit of 3 s/)
    await nothingIsLeft(temporary)
  })

  test("of a guest that dies has code 125, and the console tells of what", async () => {
    const { end, temporary } = await sleeper()
    for (const id of guests(temporary)) kill(id)
    const { code, errors } = await end
    assert.equal(code, 125)
    assert.match(errors, /the guest died while the command ran/)
    await nothingIsLeft(temporary)
  })

  for (const [signal, expected] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ])
    test(`by ${signal} has code ${expected}, and nothing stays`, async () => {
      const { child, end, temporary } = await sleeper()
      child.kill(signal)
      assert.equal((await end).code, expected)
      await nothingIsLeft(temporary)
    })

  test("at any moment of the boot leaves nothing", async () => {
    for (const millis of [150, 300, 450, 600, 900]) {
      const temporary = freshFolder()
      const child = start(["--", "sleep", "3600"], { temporary })
      const end = ended(child)
      await sleep(millis)
      child.kill("SIGTERM")
      const { code, signal } = await end
      assert.ok(code === 143 || signal === "SIGTERM", `${millis} ms: ${code} ${signal}`)
      await nothingIsLeft(temporary)
    }
  })

  test("by a kill that cannot be caught leaves nothing either", async () => {
    const { child, end, temporary } = await sleeper()
    child.kill("SIGKILL")
    assert.equal((await end).signal, "SIGKILL")
    await nothingIsLeft(temporary)
  })

  test("of its reader does not end the command", async () => {
    const line = `${process.execPath} ${runner} --machine ${machine} -- sh -c 'yes | head -c 1000000; exit 3' | head -n 1; echo \${PIPESTATUS[0]}`
    const { stdout } = spawnSync("bash", ["-c", line], { cwd: checkout, encoding: "utf8" })
    assert.equal(stdout, "y\n3\n")
  })
})

describe("what cannot be", () => {
  test("a guest with more memory than there is room is refused, with the numbers of each place", () => {
    const { bavail, bsize } = statfsSync("/dev/shm")
    const wanted = bavail * bsize + 2 ** 40
    assert.throws(() => placeForMemory(wanted, ["/dev/shm", "/nowhere"]), {
      code: 77,
      why: /^.dev.shm: \d+ MiB free of the \d+ that are needed\s+.nowhere: ENOENT$/,
    })
    assert.equal(placeForMemory(2 ** 20, ["/nowhere", folder]), folder)
  })

  test("a folder that nothing may be executed from holds no guest's memory", () => {
    const table = `none ${folder} tmpfs rw,noexec 0 0\nnone / ext4 rw 0 0\n`
    assert.throws(() => placeForMemory(2 ** 20, [folder], table), {
      code: 77,
      why: `${folder}: mounted noexec`,
    })
    assert.equal(placeForMemory(2 ** 20, [dirname(folder)], table), dirname(folder))
  })

  test("a guest that may not trace its processes cannot run here; any other silence is a death", () => {
    assert.equal(umlRefusal("start_ptraced_child : expected SIGSTOP, got status = 256").code, 77)
    assert.equal(umlRefusal("Kernel panic - not syncing: VFS: Unable to mount root fs"), undefined)
  })

  test("options that make no sense are named, with code 2", async () => {
    for (const words of [
      ["--machine", "vax"],
      ["--rails", "-1"],
      ["--rails", "17"],
      ["--timeout", "0"],
      ["--wire=3"],
      ["--memory"],
      ["--nonsense"],
      ["--env", "1=2"],
    ])
      assert.throws(() => parseOptions(words), { code: 2 }, words.join(" "))
    const { code, errors } = await lab(["--rails", "many", "--", "true"])
    assert.equal(code, 2)
    assert.match(errors, /--rails is a whole number from 0 to 16, not "many"/)
  })

  test("an option after the command's first word is the command's", () => {
    const { command, rails } = parseOptions(["--rails", "3", "rdma", "--json", "link"])
    assert.deepEqual({ command, rails }, { command: ["rdma", "--json", "link"], rails: 3 })
    assert.deepEqual(parseOptions(["--", "--help"]).command, ["--help"])
  })
})
