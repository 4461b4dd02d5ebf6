/** Debian's own kernel and what the guest boots from, taken apart once: no package of it is installed. */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { basename, join } from "node:path"
import { cacheFolder, requirePackages } from "./kernel.mjs"
import { cannotRun, Trouble } from "./trouble.mjs"

const here = import.meta.dirname

/** What the guest needs of Debian's modules; those that they need are added. */
const modules = [
  ...["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "dummy", "veth", "sch_netem"],
  // rdma_rxe asks for this one by name, so no dependency is recorded.
  ...["crc32_generic", "crc32c_intel", "ib_uverbs", "rdma_rxe", "rdma_ucm"],
]

/** Paths of the uncompressed kernel and its initial file system. */
export async function debianKernel(progress) {
  const hash = createHash("sha256")
  for (const name of ["qemu-kernel.mjs", "init-qemu.sh"]) hash.update(readFileSync(join(here, name)))
  const folder = join(cacheFolder(), `qemu-${hash.digest("hex").slice(0, 16)}`)
  const found = { kernel: join(folder, "vmlinux"), initrd: join(folder, "initrd.cpio") }
  if (existsSync(folder)) return found
  const programs = ["dpkg", "apt-get", "apt-cache", "xz"].map((name) => [
    name,
    name === "xz" ? "xz-utils" : name,
  ])
  requirePackages([...programs, ["depmod", "kmod"]], "Debian's kernel is taken apart once, and that takes")
  progress("fetching Debian's kernel, once")
  mkdirSync(cacheFolder(), { recursive: true })
  const work = mkdtempSync(join(cacheFolder(), "work-"))
  try {
    const parts = join(work, "parts")
    mkdirSync(parts)
    takeApart(work, parts)
    renameSync(parts, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
    progress()
  }
  return found
}

function takeApart(work, parts) {
  const depends = must("apt-cache", ["depends", "linux-image-amd64"], work).toString()
  const kernelPackage = /Depends: (linux-image-[0-9]\S*)/.exec(depends)?.[1]
  if (kernelPackage === undefined)
    throw new Trouble(cannotRun, {
      what: "apt knows no linux-image-amd64",
      next: "apt-get update, on Debian",
    })
  for (const name of [kernelPackage, "busybox-static"]) {
    must("apt-get", ["download", "-q", name], work)
    const archive = readdirSync(work).find((file) => file.startsWith(`${name}_`))
    must("dpkg", ["-x", archive, "unpacked"], work)
  }
  const release = kernelPackage.replace("linux-image-", "")
  const root = join(work, "unpacked")
  must("depmod", ["-b", root, release], work)
  writeFileSync(
    join(parts, "vmlinux"),
    uncompressed(readFileSync(join(root, "boot", `vmlinuz-${release}`)), work),
  )
  writeFileSync(join(parts, "initrd.cpio"), initialFiles(root, join(root, "lib/modules", release)))
}

/**
 * The kernel within a bzImage. QEMU starts it as it is, and no time goes into unpacking it under emulation.
 *
 * @see the kernel's Documentation/x86/boot.rst: setup_sects, payload_offset, payload_length
 */
function uncompressed(image, cwd) {
  const start = (image.readUInt8(0x1f1) + 1) * 512 + image.readUInt32LE(0x248)
  // Its last four bytes are its size.
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c) - 4)
  return must("xz", ["-dc"], cwd, payload)
}

function initialFiles(root, folder) {
  const order = inOrder(readFileSync(join(folder, "modules.dep"), "utf8"))
  const busybox = [join(root, "bin/busybox"), join(root, "usr/bin/busybox")].find((path) => existsSync(path))
  return cpio([
    { name: "bin", mode: 0o40755 },
    { name: "modules", mode: 0o40755 },
    { name: "init", mode: 0o100755, bytes: readFileSync(join(here, "init-qemu.sh")) },
    { name: "bin/busybox", mode: 0o100755, bytes: readFileSync(busybox) },
    { name: "bin/sh", mode: 0o120777, bytes: Buffer.from("busybox") },
    {
      name: "modules/order",
      mode: 0o100644,
      bytes: Buffer.from(order.map((path) => `${basename(path)}\n`).join("")),
    },
    ...order.map((path) => ({
      name: `modules/${basename(path)}`,
      mode: 0o100644,
      bytes: readFileSync(join(folder, path)),
    })),
  ])
}

/** Each module after those that it needs, by depmod's table. */
function inOrder(table) {
  const needs = new Map()
  for (const line of table.split("\n").filter(Boolean)) {
    const [path, rest] = line.split(":")
    needs.set(path, rest.trim().split(" ").filter(Boolean))
  }
  const plain = (path) =>
    basename(path)
      .replace(/[.]ko.*$/, "")
      .replaceAll("-", "_")
  const byName = new Map([...needs.keys()].map((path) => [plain(path), path]))
  const order = []
  const add = (path) => {
    if (order.includes(path)) return
    for (const other of needs.get(path) ?? []) add(other)
    order.push(path)
  }
  // What a kernel has built in is in no table.
  for (const name of modules) if (byName.has(name)) add(byName.get(name))
  return order
}

/** An archive of the kind that a kernel unpacks at boot. @see the kernel's initramfs buffer format, "newc" */
function cpio(entries) {
  const parts = []
  const add = (name, mode, bytes, number) => {
    const fields = [number, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, name.length + 1, 0]
    const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`
    parts.push(padded(Buffer.from(head)), padded(bytes))
  }
  for (const [index, { name, mode, bytes }] of entries.entries())
    add(name, mode, bytes ?? Buffer.alloc(0), index + 1)
  add("TRAILER!!!", 0, Buffer.alloc(0), 0)
  return Buffer.concat(parts)
}

function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
}

function must(command, args, cwd, input) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, input, maxBuffer: 2 ** 30 })
  if (status === 0) return stdout
  throw new Trouble(cannotRun, {
    what: `${command} ${args.join(" ")} failed`,
    why: error?.message ?? stderr.toString().trim(),
    next: "mend what it names, and run the same command again",
  })
}
