import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import fc from "fast-check"
import { readElfImports } from "./read-elf.ts"
import { driverFunctionsWanted, hasCudaDriver, writeStandInCuda } from "./stand-in-cuda.ts"
import { type StandIn, standInLibrary } from "./stand-in-library.ts"

const folder = mkdtempSync(join(tmpdir(), "kvferry-stand-in-"))
after(() => rmSync(folder, { recursive: true }))

const wanted: StandIn = {
  soname: "libgpu.so.1",
  functions: ["cuInit", "cuMemAlloc_v2"],
  answer: 100,
  machine: "x64",
}
const here = process.arch === "x64" || process.arch === "arm64" ? process.arch : undefined

/** What Python's `ctypes`, which is the loader, makes of a library. */
function asked(path: string, script: string): string {
  const { stdout, stderr, status } = spawnSync("python3", ["-I", "-c", script, path], { encoding: "utf8" })
  assert.equal(status, 0, stderr)
  return stdout.trim()
}

const noPython = spawnSync("python3", ["--version"]).status === 0 ? false : "no python3 to load it with"

test("the loader takes it, and every function answers the number", {
  skip: noPython || here === undefined,
}, () => {
  const functions = Array.from({ length: 400 }, (_, i) => `cuFunction${i}`)
  const path = join(folder, "many.so")
  writeFileSync(path, standInLibrary({ ...wanted, functions, machine: here!, answer: 100 }))
  const script = `
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
print({getattr(library, "cuFunction%d" % i)() for i in range(400)}, hasattr(library, "cuFunction400"))`
  assert.equal(asked(path, script), "{100} False")
})

test("a library that was loaded stands in for others that ask for its name", {
  skip: noPython || here === undefined,
}, () => {
  const path = join(folder, "other-name.so")
  writeFileSync(path, standInLibrary({ ...wanted, machine: here!, answer: 7 }))
  const script = `
import ctypes, sys
ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
print(ctypes.CDLL("libgpu.so.1").cuInit(0))`
  assert.equal(asked(path, script), "7")
})

test("an arm64 library has that processor's instructions", () => {
  const file = standInLibrary({ ...wanted, machine: "arm64", answer: 100 })
  assert.equal(file.readUInt16LE(18), 183)
  // movz w0, #100; ret
  assert.ok(file.includes(Buffer.from([0x80, 0x0c, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6])))
})

test("names that no linker would take are refused", () => {
  for (const name of ["", "a b", "cu\0Init", "ü"])
    assert.throws(() => standInLibrary({ ...wanted, functions: [name] }), RangeError)
})

test("the reader sees what a real library imports, and that a stand-in imports nothing", () => {
  const own = join(folder, "own.so")
  writeFileSync(own, standInLibrary(wanted))
  assert.deepEqual(readElfImports(own), { needed: [], missing: [] })
  const real = readElfImports(process.execPath)
  assert.ok(real?.needed.includes("libc.so.6") === true && real.missing.length > 100)
})

test("damaged and hostile files are no libraries, whatever they say", () => {
  const path = join(folder, "damaged.so")
  const good = standInLibrary(wanted)
  const read = (bytes: Uint8Array): unknown => {
    writeFileSync(path, bytes)
    return readElfImports(path)
  }
  for (let length = 0; length < good.length; length += 7) read(good.subarray(0, length))
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length - 1), fc.nat(255), (a, x, b, y) => {
      const bytes = Buffer.from(good)
      bytes[a] = x
      bytes[b] = y
      const found = read(bytes)
      assert.ok(found === undefined || typeof found === "object")
    }),
    { numRuns: 300 },
  )
  assert.equal(read(Buffer.from("#!/bin/sh\n")), undefined)
  assert.equal(readElfImports(join(folder, "absent.so")), undefined)
})

/** A library that asks `needs` for `functions`: a stand-in whose symbols are made undefined. */
function importer(needs: string, functions: readonly string[]): Buffer {
  const file = standInLibrary({ ...wanted, soname: needs, functions })
  // DT_SONAME, the first entry of the dynamic table, becomes DT_NEEDED.
  const dynamicAt = file.length - 7 * 16
  assert.equal(file.readBigUInt64LE(dynamicAt), 14n)
  file.writeBigUInt64LE(1n, dynamicAt)
  const symbolsAt = Number(file.readBigUInt64LE(dynamicAt + 3 * 16 + 8))
  for (let i = 1; i <= functions.length; i++) file.writeUInt16LE(0, symbolsAt + i * 24 + 6)
  return file
}

test("what stands in for the driver has all functions that the libraries of a folder want of it, and no others", () => {
  const wheels = join(folder, "wheels")
  mkdirSync(join(wheels, "deep"), { recursive: true })
  writeFileSync(join(wheels, "a.so"), importer("libcuda.so.1", ["cuInit", "cudaMalloc", "memcpy"]))
  writeFileSync(join(wheels, "deep", "b.so.3"), importer("libcuda.so.1", ["cuMemFree_v2", "cuInit"]))
  writeFileSync(join(wheels, "c.so"), importer("libcufile.so.0", ["cuFileRead"]))
  writeFileSync(join(wheels, "notes.txt"), importer("libcuda.so.1", ["cuNever"]))
  symlinkSync("/nowhere/at/all.so", join(wheels, "dangling.so"))
  assert.deepEqual(driverFunctionsWanted(wheels), ["cuInit", "cuMemFree_v2"])
  const path = join(folder, "libcuda.so.1")
  assert.equal(writeStandInCuda(wheels, path), 2)
  assert.throws(() => writeStandInCuda(wheels, path, "mips"), /KV_TRANSPORT|no stand-in/)
  assert.equal(typeof hasCudaDriver(), "boolean")
})
