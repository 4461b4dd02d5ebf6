import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { findNixlLibrary } from "./find-library.ts"
import { statusName } from "./nixl-library.ts"

test("NIXL's library is found in the wheel of the active environment, and a refusal names every place", (t) => {
  const root = mkdtempSync(join(tmpdir(), "kvferry-wheel-"))
  t.after(() => rmSync(root, { recursive: true }))
  const home = join(root, "home")
  const env = { VIRTUAL_ENV: root, HOME: home }
  const packages = join(root, "lib", "python3.11", "site-packages")
  mkdirSync(packages, { recursive: true })
  assert.throws(() => findNixlLibrary(undefined, env), {
    code: "KV_TRANSPORT_UNAVAILABLE",
    message: new RegExp(`libnixl_capi\\.so, was not found.*${packages}`),
  })
  const libraries = join(packages, ".nixl_cu12.mesonpy.libs")
  mkdirSync(libraries)
  writeFileSync(join(libraries, "libnixl_capi.so"), "")
  assert.equal(findNixlLibrary(undefined, env), join(libraries, "libnixl_capi.so"))
  assert.equal(findNixlLibrary(import.meta.filename, env), import.meta.filename)
  assert.throws(() => findNixlLibrary(join(root, "none.so"), env), {
    code: "KV_TRANSPORT_UNAVAILABLE",
    message: /none\.so, which --nixl-lib names/,
  })
})

test("a status has its name in NIXL's header", () => {
  assert.equal(statusName(-2), "NIXL_CAPI_ERROR_BACKEND")
  assert.equal(statusName(1), "NIXL_CAPI_IN_PROG")
  assert.equal(statusName(-77), "status -77")
})
