import type { IncomingMessage } from "node:http"
import { ApiError } from "./api-error.ts"
import { printable } from "./printable.ts"

/**
 * The JSON of a request's body.
 *
 * @throws ApiError 415 when it does not say it is JSON, 413 when it is larger than `maxBytes`, 400 when it is not JSON
 */
export async function readJsonBody(incoming: IncomingMessage, maxBytes: number): Promise<unknown> {
  refuseOtherTypes(incoming)
  const announced = Number(incoming.headers["content-length"] ?? 0)
  if (announced > maxBytes) throw tooLarge(`${announced} bytes`, maxBytes)
  return parseJson(await readBytes(incoming, maxBytes))
}

// Only JSON: a web page of another origin can post text/plain or a form without asking, but not this type.
function refuseOtherTypes({ headers }: IncomingMessage): void {
  const type = (headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase()
  if (type !== "application/json") {
    const message = `the content type is ${printable(type)}; send the body as application/json`
    throw new ApiError({ status: 415, message, code: "KV_REQUEST_INVALID" })
  }
  const encoding = (headers["content-encoding"] ?? "identity").trim().toLowerCase()
  if (encoding !== "identity") {
    const message = `the content encoding is ${printable(encoding)}; send the body as it is`
    throw new ApiError({ status: 415, message, code: "KV_REQUEST_INVALID" })
  }
}

// Listeners rather than `for await`, which would destroy the socket on leaving the loop and the 413 with it.
function readBytes(incoming: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const stop = () => {
      incoming.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone)
    }
    const onData = (chunk: Buffer) => {
      length += chunk.length
      chunks.push(chunk)
      if (length <= maxBytes) return
      stop()
      incoming.pause()
      reject(tooLarge(`more than ${maxBytes} bytes`, maxBytes))
    }
    const onEnd = () => {
      stop()
      resolve(Buffer.concat(chunks, length))
    }
    const onGone = () => {
      stop()
      const message = `the connection closed after ${length} bytes of the body`
      reject(new ApiError({ status: 400, message, code: "KV_REQUEST_INVALID" }))
    }
    incoming.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone)
  })
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (cause) {
    const why = cause instanceof SyntaxError ? cause.message : "it is not valid UTF-8"
    const message = `the body (${bytes.length} bytes) is not JSON: ${printable(why, 160)}`
    throw new ApiError({ status: 400, message, code: "KV_REQUEST_INVALID" })
  }
}

function tooLarge(size: string, maxBytes: number): ApiError {
  return new ApiError({
    status: 413,
    message: `the body is ${size}; at most ${maxBytes} bytes are read. Send a shorter prompt`,
    code: "KV_REQUEST_TOO_LARGE",
    // The rest of the body is not read, so this connection cannot carry another request.
    headers: { connection: "close" },
  })
}
