/** What a guest has when its command begins: its rails, as the kernel and as libibverbs see them, and its wire. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { test } from "node:test"
import koffi from "koffi"

const rails = readdirSync("/sys/class/infiniband")
  .filter((name) => /^rxe\d+$/.test(name))
  .sort()
const wired = existsSync("/sys/class/infiniband/rxw0")
const perftest = spawnSync("ib_read_bw", ["--version"]).error === undefined
const without = wired ? (perftest ? false : "perftest is not installed") : "the lab was booted without --wire"

function port(device, name) {
  return readFileSync(`/sys/class/infiniband/${device}/ports/1/${name}`, "utf8").trim()
}

function run(command, ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" })
  return { status, text: `${stdout}${stderr}` }
}

function sentAgain(device) {
  return Number(port(device, "hw_counters/completer_retry_err"))
}

test("two rails are there, active, by sysfs and by rdma-link alike", () => {
  assert.deepEqual(rails, ["rxe0", "rxe1"])
  const links = JSON.parse(run("rdma", "-j", "link", "show").text)
  for (const rail of rails) {
    assert.equal(port(rail, "state"), "4: ACTIVE")
    assert.equal(links.find(({ ifname }) => ifname === rail).state, "ACTIVE")
  }
})

test("each rail has a RoCE v2 GID that carries its IPv4 address", () => {
  for (const [index, rail] of rails.entries()) {
    assert.equal(port(rail, "gid_attrs/types/1"), "RoCE v2")
    const address = Buffer.from([10, 77, index, 1])
      .toString("hex")
      .replace(/(.{4})/, "$1:")
    assert.equal(port(rail, "gids/1"), `0000:0000:0000:0000:0000:ffff:${address}`)
  }
})

test("libibverbs lists the same devices, and none that is not there", () => {
  const library = koffi.load("libibverbs.so.1")
  const list = library.func("ibv_get_device_list", "void *", ["_Out_ int *"])
  const nameOf = library.func("ibv_get_device_name", "str", ["void *"])
  const count = [0]
  const devices = koffi.decode(list(count), koffi.array("void *", count[0]))
  assert.deepEqual(
    devices.map((device) => nameOf(device)).sort(),
    readdirSync("/sys/class/infiniband").sort(),
  )
})

test("a port goes down with its interface, and comes back with it", () => {
  assert.equal(run("lab-wire", "down", "rail1").status, 0)
  assert.match(port("rxe1", "state"), /DOWN/)
  assert.equal(port("rxe0", "state"), "4: ACTIVE")
  assert.equal(run("lab-wire", "up", "rail1").status, 0)
  assert.equal(port("rxe1", "state"), "4: ACTIVE")
})

test("a wire carries bytes from one end to the other, and nothing is sent again", { skip: without }, () => {
  const before = sentAgain("rxw0")
  const { status, text } = run("lab-perftest", "ib_read_bw", "rxw0:rxw1", "-s", "65536", "-n", "50")
  assert.equal(status, 0, text)
  assert.equal(sentAgain("rxw0"), before)
})

test("a wire that loses packets still carries the bytes, and packets are sent again", {
  skip: without,
}, () => {
  const before = sentAgain("rxw0")
  // The packets of a READ's data leave the other end.
  assert.equal(run("lab-wire", "netem", "w1", "loss", "5%").status, 0)
  try {
    const { status, text } = run("lab-perftest", "ib_read_bw", "rxw0:rxw1", "-s", "65536", "-n", "50")
    assert.equal(status, 0, text)
    assert.ok(sentAgain("rxw0") > before, `${sentAgain("rxw0")} sent again`)
  } finally {
    assert.equal(run("lab-wire", "clear", "w1").status, 0)
  }
})

test("a wire that is cut takes down both of its ports, and a mended one carries again", {
  skip: without,
}, () => {
  assert.equal(run("lab-wire", "down", "w0").status, 0)
  for (const device of ["rxw0", "rxw1"]) assert.match(port(device, "state"), /DOWN/)
  assert.equal(run("lab-wire", "up", "w0").status, 0)
  for (const device of ["rxw0", "rxw1"]) assert.equal(port(device, "state"), "4: ACTIVE")
  const { status, text } = run("lab-perftest", "ib_write_bw", "rxw0:rxw1", "-s", "65536", "-n", "50")
  assert.equal(status, 0, text)
})
