/** The worker's call endpoint. */

import { Failure, NO_SERVER, ofAnswer } from "./failure";

/** What the server says before a call. */
export interface CallInfo {
  model: string;
  secret: boolean;
  settings: string[];
  voices: string[];
  notice: string;
}

/** A seat in a room, ready to be joined. */
export interface Offer {
  url: string;
  token: string;
}

export type Wishes = Record<string, string | number>;

const ADDRESS = "api/call";

export async function describe(): Promise<CallInfo> {
  return (await ask(new Request(ADDRESS))) as CallInfo;
}

/** A seat for a call; `before` is the token of a call to come back to. Throws Failure. */
export async function requestCall(wishes: Wishes, secret: string, before?: string): Promise<Offer> {
  const headers = new Headers({ "Content-Type": "application/json" });
  if (secret) headers.set("Authorization", `Bearer ${secret}`);
  const body = JSON.stringify(before ? { ...wishes, call: before } : wishes);
  return (await ask(new Request(ADDRESS, { method: "POST", headers, body }))) as Offer;
}

async function ask(request: Request): Promise<unknown> {
  let answer: Response;
  try {
    answer = await fetch(request);
  } catch {
    throw NO_SERVER;
  }
  const body: unknown = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  const { error = "", message = "" } = (body ?? {}) as { error?: string; message?: string };
  // A proxy in front of a server that is gone answers too, but not in JSON.
  if (!body && answer.status >= 500) throw NO_SERVER;
  throw failureOf(answer, error, message);
}

function failureOf(answer: Response, error: string, message: string): Failure {
  const said = message || `It answered ${answer.status} ${answer.statusText}.`;
  return ofAnswer(answer.status, error, said, answer.headers.get("Retry-After"));
}
