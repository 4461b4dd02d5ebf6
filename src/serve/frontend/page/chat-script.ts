/** The browser's half of the chat: sends the conversation and writes the answer as it comes. */
export const chatScript = String.raw`
const conversation = [];
let running = null;

function turn(role, text) {
  byId("hint").hidden = true;
  const body = el("div", "text", text);
  const block = el("div", "turn " + role, el("div", "who", role === "user" ? "You" : document.body.dataset.model), body);
  byId("transcript").append(block);
  scrollDown();
  return { block, body };
}

function scrollDown() {
  const transcript = byId("transcript");
  transcript.scrollTop = transcript.scrollHeight;
}

function requestBody() {
  const number = (id) => (byId(id).value.trim() === "" ? undefined : Number(byId(id).value));
  return {
    model: document.body.dataset.model,
    messages: conversation,
    stream: true,
    temperature: number("temperature"),
    max_tokens: number("tokens"),
    seed: number("seed"),
  };
}

/** The payloads of a stream of server-sent events. */
async function* payloads(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) if (frame.startsWith("data: ")) yield frame.slice(6);
  }
}

function problem(error) {
  const failure = new Error(error.message || "the stream failed");
  failure.code = error.code;
  return failure;
}

async function ask(answer, signal, named) {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(requestBody()),
    signal,
  });
  named(response.headers.get("x-request-id"));
  if (!response.ok) throw problem((await response.json()).error || {});
  let complete = false;
  for await (const payload of payloads(response.body)) {
    if (payload === "[DONE]") { complete = true; continue; }
    const event = JSON.parse(payload);
    if (event.error) throw problem(event.error);
    const piece = event.choices[0] && event.choices[0].delta.content;
    if (piece) { answer.body.append(piece); scrollDown(); }
  }
  if (!complete) throw problem({ message: "the answer broke off: the connection to the frontend was lost" });
}

async function send(text) {
  conversation.push({ role: "user", content: text });
  turn("user", text);
  const answer = turn("assistant", "");
  answer.block.classList.add("busy");
  running = new AbortController();
  byId("send").textContent = "Stop";
  byId("fresh").hidden = false;
  let requestId = null;
  try {
    await ask(answer, running.signal, (id) => { requestId = id; });
  } catch (error) {
    if (error.name === "AbortError") answer.block.append(el("div", "facts", "Stopped."));
    else answer.block.append(el("div", "failure", error.code ? el("b", "", error.code) : null, error.message));
  }
  answer.block.classList.remove("busy");
  running = null;
  byId("send").textContent = "Send";
  // An answer that failed before its first word is no part of the conversation, nor is its question.
  if (answer.body.textContent === "") conversation.pop();
  else conversation.push({ role: "assistant", content: answer.body.textContent });
  const record = await receiptOf(requestId).catch(() => undefined);
  if (record && !record.error) {
    answer.block.append(el("div", "facts", "first token " + time(record.ttftMicros) + " · " + many(record.completionTokens, "token") + " · " + time(record.perTokenMicros) + " per token"));
  }
  scrollDown();
  loadWorkers();
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) { running.abort(); return; }
  const text = byId("message").value.trim();
  if (text === "") return;
  byId("message").value = "";
  send(text);
});

byId("message").addEventListener("keydown", (event) => {
  // isComposing: Enter also picks a word in an input method, and must not send then.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!running) byId("form").requestSubmit();
});

byId("fresh").addEventListener("click", () => {
  if (running) running.abort();
  conversation.length = 0;
  for (const block of document.querySelectorAll(".turn")) block.remove();
  byId("hint").hidden = false;
  byId("fresh").hidden = true;
  byId("message").focus();
});

loadReceipts().catch(() => undefined);
loadWorkers();
setInterval(() => { if (!document.hidden) loadWorkers(); }, 10000);
byId("message").focus();
`
