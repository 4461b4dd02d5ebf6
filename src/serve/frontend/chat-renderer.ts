/** One message of a chat; a `developer` message arrives here as `system`. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant"
  readonly content: string
}

/** Lays a chat out as the text that the model was trained on, up to where its answer begins. */
export interface ChatRenderer {
  /** False when the model has no template: chats are refused, with a better word than any template's. */
  readonly exists?: boolean
  /** @throws when the model's template does not allow these messages; the message is told to the client. */
  render(messages: readonly ChatMessage[]): string
}
