import { escapeHtml } from "../../../page/html.ts"
import { favicon, mark } from "../../../page/mark.ts"

/** What the document is made of. Style and script are ours and stand as they are; the model's name is escaped. */
export interface PageParts {
  readonly modelName: string
  readonly style: string
  readonly script: string
}

/** The document, with all of its text that does not depend on a request. */
export function pageMarkup({ modelName, style, script }: PageParts): string {
  const model = escapeHtml(modelName)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>kvferry · ${model}</title>
<link rel="icon" href="${favicon}">
<style>${style}</style>
</head>
<body data-model="${model}">
<header class="top">
  <div class="brand">${mark}<span class="name">kvferry</span><span class="model" title="The model that is served">${model}</span></div>
  <ul class="workers" id="workers" aria-label="Workers"></ul>
</header>
<main>
  <section class="panel chat" aria-labelledby="chat-title">
    <div class="head">
      <h1 id="chat-title">Chat</h1>
      <button type="button" class="quiet" id="fresh" hidden>New chat</button>
    </div>
    <div class="transcript" id="transcript" role="log" aria-live="polite" tabindex="0" aria-label="Conversation">
      <p class="hint" id="hint">One process reads your message, another one writes the answer. Between them goes the KV cache, and its receipt says whether every byte arrived.</p>
    </div>
    <form id="form">
      <label class="unseen" for="message">Message</label>
      <textarea id="message" rows="2" placeholder="Write a message…" autocomplete="off"></textarea>
      <div class="controls">
        <details>
          <summary>Sampling</summary>
          <div class="fields">
            <label>Temperature <input id="temperature" type="number" min="0" max="2" step="0.1" value="0.7"></label>
            <label>Most tokens <input id="tokens" type="number" min="1" step="1" value="128"></label>
            <label>Seed <input id="seed" type="number" min="0" max="4294967295" step="1" placeholder="random"></label>
          </div>
        </details>
        <span class="keys" aria-hidden="true">Enter sends · Shift+Enter new line</span>
        <button type="submit" id="send">Send</button>
      </div>
    </form>
  </section>
  <section class="panel receipt" aria-labelledby="receipt-title">
    <div class="head"><h2 id="receipt-title">Receipt</h2><span class="when" id="when"></span></div>
    <div id="receipt"><p class="hint">Send a message: the crossing of its KV cache is drawn here.</p></div>
  </section>
  <section class="panel recent" aria-labelledby="recent-title">
    <div class="head"><h2 id="recent-title">Last requests</h2></div>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="recent-title">
      <table>
        <thead><tr>
          <th scope="col">Request</th><th scope="col">When</th>
          <th scope="col" class="number">Prompt</th><th scope="col" class="number">Answer</th>
          <th scope="col" class="number">First token</th><th scope="col" class="number">Per token</th>
          <th scope="col" class="number">Cache moved</th><th scope="col">Path</th>
          <th scope="col">Bytes</th><th scope="col">Ended</th>
        </tr></thead>
        <tbody id="rows"><tr class="none"><td colspan="10">None yet.</td></tr></tbody>
      </table>
    </div>
  </section>
</main>
<script>${script}</script>
</body>
</html>
`
}
