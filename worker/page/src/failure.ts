/** Everything that can go wrong with a call, each with its sentence. */

export class Failure extends Error {
  constructor(
    /** What happened, in a few words. */
    readonly title: string,
    /** What to do about it. */
    readonly remedy: string,
    /** When a new attempt makes sense, if one does without a change. */
    readonly retryAfterS?: number,
    /** What the server objects to. */
    readonly refused?: "secret" | "request",
  ) {
    super(title);
  }
}

const RETRY_S = 3;

export const NOT_SECURE = new Failure(
  "This page is not secure.",
  "Browsers give a microphone only to pages over https:// or on localhost: open this one there.",
);

export const NO_SERVER = new Failure(
  "The server does not answer.",
  "Is it running, and are you online? The page asks again until it does.",
  RETRY_S,
);

export const NO_SOUND_PATH = new Failure(
  "The server is there, but no sound comes through.",
  "A firewall between here and the server blocks its media ports. Try another network, or open the UDP and TCP ports that the server's configuration names.",
);

export const NOBODY_CAME = new Failure(
  "Nobody took the call.",
  "The model's worker did not answer. The page tries again.",
  RETRY_S,
);

export const MODEL_LEFT = new Failure("The model has left the call.", "Its worker stopped. Call again.");

export const DROPPED = new Failure(
  "The call was dropped.",
  "The connection was lost and did not come back. Check your network, then call again.",
);

export const ENDED = new Failure("The call has ended.", "The server closed it. Call again whenever you like.");

export const ELSEWHERE = new Failure(
  "This call goes on elsewhere.",
  "It was opened in another tab or window, which has it now.",
);

/** What browsers call it. Not in all of them everything thrown is an Error. */
export function nameOf(error: unknown): string {
  return typeof error === "object" && error !== null && "name" in error ? String(error.name) : "";
}

/** Why the browser gave no microphone. */
export function ofMicrophone(error: unknown): Failure {
  switch (nameOf(error)) {
    case "NotAllowedError":
    case "SecurityError":
      return new Failure(
        "The microphone is blocked.",
        "Allow it for this page, next to the address or in the browser's settings, then call again.",
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new Failure("There is no microphone.", "Plug one in, or choose another in the settings.");
    case "NotReadableError":
    case "AbortError":
      return new Failure(
        "The microphone cannot be opened.",
        "Another program may be using it. Close that, or choose another microphone in the settings.",
      );
    default:
      return new Failure("The microphone cannot be used.", error instanceof Error ? error.message : String(error));
  }
}

/** What an answer of the call endpoint other than success means. */
export function ofAnswer(status: number, code: string, message: string, retryAfter: string | null): Failure {
  const wait = Math.max(1, Math.ceil(Number(retryAfter ?? RETRY_S) || RETRY_S));
  if (status === 401) {
    return new Failure("This server asks for a secret.", "Give it in the settings, then call again.", undefined, "secret");
  }
  if (status === 429) return new Failure("Too many calls from here.", message, wait);
  if (code === "full") return new Failure("All seats are taken.", "You are called in as soon as one is free.", wait);
  if (code === "no_agent") return new Failure(NOBODY_CAME.title, NOBODY_CAME.remedy, wait);
  if (status >= 500) return new Failure("The server cannot take calls now.", message, wait);
  return new Failure("The server refused this call.", message, undefined, "request");
}
