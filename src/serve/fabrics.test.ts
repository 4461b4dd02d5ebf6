import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { isNews, refusalText } from "./fabrics.ts"
import { defaultPaths } from "./transports.ts"

const refused = (transport: string, why = "no device") => ({
  transport,
  error: new KvError("KV_TRANSPORT_UNAVAILABLE", { what: "it cannot be opened", why }),
})
const [none, some] = [() => false, () => true]

test("that a machine has no RDMA is told to those who named such a path, and to nobody else", () => {
  assert.equal(isNews(refused("verbs"), defaultPaths, none), false)
  assert.equal(isNews(refused("verbs"), ["verbs", "tcp"], none), true)
  assert.equal(isNews(refused("verbs"), defaultPaths, some), true)
  assert.equal(isNews(refused("tcp"), defaultPaths, none), true)
})

test("a short reason is told at once; a long one is there for whoever asks", () => {
  assert.match(
    refusalText(refused("verbs")),
    /^the path verbs is not open: it cannot be opened; why: no device$/,
  )
  const long = refusalText(refused("verbs", "x".repeat(1000)))
  assert.equal(long, "the path verbs is not open: it cannot be opened; `kvferry explain` tells why")
})
