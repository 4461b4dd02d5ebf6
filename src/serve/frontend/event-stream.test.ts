import assert from "node:assert/strict"
import { once } from "node:events"
import { connect } from "node:net"
import { test } from "node:test"
import { endEvent, line, openSetup, tokenEvents, transferred } from "./scripted-worker.test.kit.ts"

test("the head of a stream leaves when the transfer is proven, and no proxy may buffer it", async (t) => {
  let goOn = () => {}
  const setup = await openSetup(t, {
    decode: {
      decode: async (request, response) => {
        response.write(line(transferred(request)))
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
        response.end(tokenEvents("hello").map(line).join("") + line(endEvent(5)))
      },
    },
  })
  for (const path of ["/v1/completions", "/v1/chat/completions"]) {
    const body = { model: "tiny", prompt: "abc", messages: [{ role: "user", content: "Hi" }], stream: true }
    const response = await setup.post(path, body)
    assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8")
    assert.equal(response.headers.get("x-accel-buffering"), "no")
    assert.equal(response.headers.get("cache-control"), "no-cache, no-transform")
    goOn()
    assert.match(await response.text(), /data: \[DONE\]\n\n$/)
  }
})

test("head and first event of a chat leave in one packet", async (t) => {
  const setup = await openSetup(t)
  const socket = connect(setup.frontend.port, "127.0.0.1")
  const body = JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "Hi" }], stream: true })
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  )
  const [first] = (await once(socket, "data")) as [Buffer]
  socket.destroy()
  assert.match(first.toString(), /^HTTP\/1\.1 200 OK\r\n/)
  assert.match(first.toString(), /"role":"assistant"/)
})
