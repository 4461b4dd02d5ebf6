const LOOPBACK_HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i

/** True when `address`, to which a server is bound, is reachable from this machine only. */
export function isLoopback(address: string): boolean {
  return address === "localhost" || address === "::1" || /^127(\.\d{1,3}){3}$/.test(address)
}

/**
 * True when a request to a loopback server names this machine as its host.
 *
 * A web page can make its own name resolve to 127.0.0.1 and then talk to us as its own origin (DNS rebinding);
 * the browser still sends the page's name as the host.
 */
export function namesThisMachine(hostHeader: string | undefined): boolean {
  return hostHeader !== undefined && LOOPBACK_HOST.test(hostHeader)
}
