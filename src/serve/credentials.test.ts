import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { checkCredentials } from "../agent/credentials.ts"
import { KvError } from "../errors/kv-error.ts"
import { makeIdentity } from "../trust/identity-file.ts"
import { credentialsFrom } from "./credentials.ts"

/** A home of its own, with a secret, an identity and a trust file that the operator made. */
function home(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-credentials-"))
  const before = process.env["KVFERRY_HOME"]
  process.env["KVFERRY_HOME"] = join(folder, "home")
  t.after(() => {
    if (before === undefined) delete process.env["KVFERRY_HOME"]
    else process.env["KVFERRY_HOME"] = before
    rmSync(folder, { recursive: true })
  })
  const [secretFile, identity, trust] = ["secret", "identity", "trust"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(secretFile, "0123456789abcdef", { mode: 0o600 })
  writeFileSync(trust, `${makeIdentity(identity).publicKey}\n`, { mode: 0o600 })
  return { secretFile, identity, trust }
}

test("the kind of credentials follows from the files that were named", (t) => {
  const { secretFile, identity, trust } = home(t)
  assert.equal(checkCredentials(credentialsFrom({})), "secret")
  assert.equal(checkCredentials(credentialsFrom({ secretFile })), "secret")
  assert.equal(checkCredentials(credentialsFrom({ trust })), "key")
  assert.equal(checkCredentials(credentialsFrom({ trust, identity })), "key")
  assert.equal(checkCredentials(credentialsFrom({ trust, identity, secretFile })), "both")
})

test("the default identity is made once; one that was named must be there", (t) => {
  const { identity, trust } = home(t)
  const made = credentialsFrom({ trust }).identity?.publicKey
  assert.equal(credentialsFrom({ trust }).identity?.publicKey, made)
  assert.notEqual(credentialsFrom({ trust, identity }).identity?.publicKey, made)
  assert.throws(
    () => credentialsFrom({ trust, identity: `${identity}-gone` }),
    (error) => error instanceof KvError && error.code === "KV_USAGE",
  )
})

test("an identity without a trust file is an error that says what is missing", (t) => {
  const { identity } = home(t)
  assert.throws(() => credentialsFrom({ identity }), /--trust/)
})
