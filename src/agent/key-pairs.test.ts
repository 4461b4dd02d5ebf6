import assert from "node:assert/strict"
import { createPrivateKey, generateKeyPairSync, randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { formatPublicKey } from "../wire/public-key.ts"
import { ephemeralOf, identityOf, identityOfSeed, keyFingerprint, verifySignature } from "./key-pairs.ts"

const hex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, "hex"))

test("identities are Ed25519 as RFC 8032 has it (7.1, test 2)", () => {
  const identity = identityOfSeed(hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
  const publicKey = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
  assert.equal(identity.publicKey, formatPublicKey(publicKey))
  const signature = hex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  )
  assert.deepEqual(identity.sign(Uint8Array.of(0x72)), signature)
  assert.equal(verifySignature(identity.publicKey, Uint8Array.of(0x72), signature), true)
  assert.equal(verifySignature(identity.publicKey, Uint8Array.of(0x73), signature), false)
})

test("ephemeral keys are X25519 as RFC 7748 has it (6.1)", () => {
  const bob = ephemeralOf(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
  assert.equal(bob.publicKey, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
  const alice = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
  const shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
  assert.deepEqual(bob.agree(alice), shared)
  const [one, other] = [ephemeralOf(randomBytes(32)), ephemeralOf(randomBytes(32))]
  assert.deepEqual(one.agree(other.publicKey), other.agree(one.publicKey))
})

test("what is no key or no signature verifies nothing, and is no exception", () => {
  const { publicKey, sign } = identityOfSeed(randomBytes(32))
  const message = Uint8Array.of(1)
  const signature = sign(message)
  for (const key of ["", "ed25519:", publicKey.slice(1), formatPublicKey(new Uint8Array(32))])
    assert.equal(verifySignature(key, message, signature), false)
  for (const bad of [new Uint8Array(0), signature.subarray(1), new Uint8Array(64), new Uint8Array(65)])
    assert.equal(verifySignature(publicKey, message, bad), false)
})

test("a key that is not on the curve verifies nothing, and is no exception", () => {
  const { sign } = identityOfSeed(randomBytes(32))
  const nowhere = formatPublicKey(Uint8Array.of(2, ...new Uint8Array(31)))
  assert.equal(verifySignature(nowhere, Uint8Array.of(1), sign(Uint8Array.of(1))), false)
})

test("an identity is an Ed25519 private key and nothing else", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  assert.match(identityOf(privateKey).publicKey, /^ed25519:/)
  const others = [publicKey, generateKeyPairSync("x25519").privateKey]
  const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey
  const again = createPrivateKey(rsa.export({ format: "pem", type: "pkcs8" }))
  for (const key of [...others, again])
    assert.throws(
      () => identityOf(key),
      (error) => error instanceof KvError && error.code === "KV_USAGE",
    )
})

test("a fingerprint is short, the same for one key, and another for another", () => {
  const [one, other] = [identityOfSeed(randomBytes(32)), identityOfSeed(randomBytes(32))]
  assert.match(keyFingerprint(one.publicKey), /^[0-9a-f]{4}(-[0-9a-f]{4}){3}$/)
  assert.equal(keyFingerprint(one.publicKey), keyFingerprint(one.publicKey))
  assert.notEqual(keyFingerprint(one.publicKey), keyFingerprint(other.publicKey))
})
