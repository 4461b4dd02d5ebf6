import { sourceHash } from "../../../page/source-hash.ts"
import { chatScript } from "./chat-script.ts"
import { pageMarkup } from "./markup.ts"
import { receiptScript } from "./receipt-script.ts"
import { pageStyle } from "./style.ts"

/** A page with the headers that it is served under. */
export interface Page {
  readonly html: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * The page that a person sees who opens the frontend in a browser: a chat and the receipts of its requests.
 *
 * One document without any other file. Its policy names the hashes of its own style and script, so nothing else
 * runs in it: not even a script that a model's answer managed to get into the markup.
 */
export function createPage(modelName: string): Page {
  const script = `"use strict";\n${receiptScript}\n${chatScript}`
  const html = pageMarkup({ modelName, style: pageStyle, script })
  const policy = [
    "default-src 'none'",
    `script-src ${sourceHash(script)}`,
    `style-src ${sourceHash(pageStyle)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]
  return {
    html,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy.join("; "),
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
    },
  }
}
