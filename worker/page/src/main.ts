import "./styles/base.css";
import "./styles/words.css";
import "./styles/stage.css";
import "./styles/latency.css";
import "./styles/settings.css";

import type { Call, Listener, LocalAudioTrack } from "./call";
import { describe, type Offer, requestCall } from "./endpoint";
import { Failure, NO_SERVER, NOT_SECURE } from "./failure";
import { LatencyStrip } from "./latency";
import { element, Settings } from "./settings";
import { Stage } from "./stage";
import { Transcript } from "./transcript";

type Phase = "idle" | "connecting" | "talking" | "reconnecting" | "waiting" | "ended";

const CALL = "moshi-live-call";
const SOUND_BLOCKED = "Your browser waits for a click before it plays sound";
const BUTTON: Record<Phase, string> = {
  idle: "Call",
  connecting: "Cancel",
  waiting: "Cancel",
  talking: "End",
  reconnecting: "End",
  ended: "Call",
};
const AGENT_STATES: Record<string, string> = {
  initializing: "Waking up",
  idle: "One moment",
  listening: "Listening",
  thinking: "Listening",
  speaking: "Speaking",
};

// Begun now, so that it is there when somebody calls; not waited for, so that the page is drawn before.
const calling = import("./call");
calling.catch(() => undefined);

const button = element<HTMLButtonElement>("call");
const muteButton = element<HTMLButtonElement>("mute");
const state = element("state");
const trouble = element("trouble");
const hitch = element("hitch");
const transcriptList = element("transcript");
const line = element<HTMLInputElement>("line");
const announcer = element("said");

const settings = new Settings((kind, deviceId) => {
  void (kind === "microphone" ? call?.setMicrophone(deviceId) : call?.setSpeaker(deviceId));
});
const transcript = new Transcript(transcriptList, announcer);
const latency = new LatencyStrip(element("latency"), element("path"));
const stage = new Stage(element<HTMLCanvasElement>("score"), button, element("names"));

let phase: Phase = "idle";
let call: Call | undefined;
let microphone: LocalAudioTrack | undefined;
let modelName = "Moshi";
let agentState = "";
let muted = false;
let soundBlocked = false;
/** Which attempt is the current one: an older one that comes to its end must not touch the page. */
let attempt = 0;

function setPhase(next: Phase, said = ""): void {
  phase = next;
  document.body.dataset.phase = next;
  button.firstElementChild!.textContent = soundBlocked ? "Listen" : BUTTON[next];
  state.textContent = soundBlocked && next !== "reconnecting" ? SOUND_BLOCKED : said;
  muteButton.hidden = !(next === "talking" || next === "reconnecting");
  element("welcome").hidden = next !== "idle";
}

function announce(text: string): void {
  announcer.textContent = text;
}

async function start(before?: string): Promise<void> {
  const mine = ++attempt;
  trouble.hidden = true;
  setPhase("connecting", "Connecting");
  announce("Connecting");
  try {
    if (!window.isSecureContext || !navigator.mediaDevices) throw NOT_SECURE;
    // Made here, within the click: later, the browser would keep it silent.
    void stage.startListening();
    const { Call, openMicrophone } = await calling.catch(() => {
      throw NO_SERVER;
    });
    const choice = { deviceId: settings.microphone, echoCancellation: !settings.headphones };
    // What a room was left with is stopped.
    const held = microphone?.mediaStreamTrack.readyState === "live" ? microphone : undefined;
    const opened = held ?? (await openMicrophone(choice));
    if (mine !== attempt) return opened.stop();
    microphone = opened;
    const offer = await ask(before);
    if (mine !== attempt) return;
    // Before joining: where that fails, the next attempt comes back to this seat and does not wait for it.
    sessionStorage.setItem(CALL, offer.token);
    transcript.clear();
    agentState = AGENT_STATES["initializing"]!;
    const joining = new Call(opened, listener);
    call = joining;
    await joining.join(offer, settings.speaker);
    if (mine !== attempt) return await joining.hangUp();
    began();
  } catch (error) {
    if (mine === attempt) fail(error instanceof Failure ? error : unexpected(error));
  }
}

/** A seat, in the call of before if that can be: a server that was restarted may know nothing of it. */
async function ask(before?: string): Promise<Offer> {
  try {
    return await requestCall(settings.wishes, settings.secret, before);
  } catch (error) {
    if (before && error instanceof Failure && error.refused === "request") return await ask();
    throw error;
  }
}

function began(): void {
  transcriptList.hidden = false;
  setPhase("talking", agentState);
  announce("Connected. You talk to a machine.");
  latency.begin();
  stage.begin();
}

function fail(why: Failure): void {
  release(why.retryAfterS !== undefined);
  show(why);
  if (why.refused === "secret") void settings.open("secret");
  if (why.retryAfterS === undefined) setPhase("ended");
  else waitAndRetry(why.retryAfterS);
}

function show(why: Failure): void {
  trouble.querySelector("h2")!.textContent = why.title;
  trouble.querySelector("p")!.textContent = why.remedy;
  trouble.hidden = false;
}

/** What the agent says is wrong, while the call goes on. */
function showHitch(sentence: string): void {
  hitch.textContent = sentence;
  hitch.hidden = !sentence;
}

function waitAndRetry(seconds: number): void {
  const mine = attempt;
  const until = performance.now() + seconds * 1000;
  const tick = (): void => {
    if (mine !== attempt) return;
    const left = Math.ceil((until - performance.now()) / 1000);
    if (left <= 0) return void start(sessionStorage.getItem(CALL) ?? undefined);
    setPhase("waiting", `Again in ${left} s`);
    window.setTimeout(tick, 250);
  };
  tick();
}

function hangUp(): void {
  const talked = phase === "talking" || phase === "reconnecting";
  attempt += 1;
  void call?.hangUp();
  release(false);
  trouble.hidden = true;
  setPhase(transcriptList.hidden ? "idle" : "ended", talked ? "Call ended" : "");
  if (talked) announce("Call ended");
}

/** Lets go of what a call holds; the microphone stays open for one that is about to be tried again. */
function release(again: boolean): void {
  stage.end();
  call = undefined;
  soundBlocked = false;
  element("type").hidden = true;
  showHitch("");
  setMuted(false);
  if (again) return;
  sessionStorage.removeItem(CALL);
  microphone?.stop();
  microphone = undefined;
}

function unexpected(error: unknown): Failure {
  console.error(error);
  return new Failure("Something went wrong here.", error instanceof Error ? error.message : String(error));
}

const listener: Listener = {
  onVoice(track) {
    stage.hear("model", track);
  },
  onMicrophone(track) {
    stage.hear("you", track);
  },
  onWords(mine, pieces) {
    void take(mine, pieces);
  },
  onAttributes(attributes) {
    agentState = AGENT_STATES[attributes["lk.agent.state"] ?? ""] ?? agentState;
    if (phase === "talking" && !soundBlocked) state.textContent = agentState;
    showHitch(attributes["moshi.trouble"] ?? "");
    if (attributes["moshi.model_delay_ms"]) latency.showModelDelay(attributes["moshi.model_delay_ms"]);
    if (attributes["moshi.notice"]) element("notice").textContent = attributes["moshi.notice"];
    if (attributes["moshi.model"]) nameModel(attributes["moshi.model"]);
    element("type").hidden = attributes["moshi.text_input"] !== "true";
  },
  onLatency(told) {
    latency.show(told);
  },
  onReconnecting() {
    if (phase === "reconnecting") return;
    setPhase("reconnecting", "Reconnecting");
    announce("Reconnecting");
  },
  onReconnected() {
    setPhase("talking", agentState);
    announce("Connected again");
  },
  onSoundBlocked(blocked) {
    soundBlocked = blocked;
    setPhase(phase, agentState);
  },
  onPath(path) {
    latency.showPath(path);
  },
  onEnd(why) {
    attempt += 1;
    fail(why);
  },
};

async function take(mine: boolean, pieces: AsyncIterable<string>): Promise<void> {
  const written = transcript.begin(mine ? "You" : modelName, mine ? "you" : "model", stage.timeS);
  try {
    let first = true;
    for await (const piece of pieces) {
      written.add(piece);
      if (!mine) stage.say(first ? ` ${piece}` : piece);
      first = false;
    }
  } catch {
    // The call can end within a sentence.
  }
  written.end();
}

function setMuted(next: boolean): void {
  muted = next;
  muteButton.setAttribute("aria-pressed", String(muted));
  muteButton.textContent = muted ? "Muted" : "Mute";
  void call?.setMuted(muted);
}

function nameModel(model: string): void {
  const isParrot = model === "parrot";
  modelName = isParrot ? "Parrot" : "Moshi";
  element("model").textContent = model;
  element("names").lastElementChild!.textContent = modelName;
  element("about-model").textContent = isParrot
    ? "This server runs parrot, a test voice: it repeats what it hears a second later."
    : "";
}

button.addEventListener("click", () => {
  if (soundBlocked) void Promise.all([call?.startSound(), stage.startListening()]);
  else if (phase === "idle" || phase === "ended") void start();
  else hangUp();
});
muteButton.addEventListener("click", () => setMuted(!muted));
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select, dialog");
  if (event.key.toLowerCase() !== "m" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
  if (!muteButton.hidden) setMuted(!muted);
});
element("type").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = line.value.trim();
  if (!text) return;
  line.value = "";
  const written = transcript.begin("You", "you", stage.timeS);
  written.add(text);
  written.end();
  void call?.type(text);
});

describe().then(
  (info) => {
    settings.describe(info);
    nameModel(info.model);
    element("notice").textContent = info.notice;
  },
  () => undefined, // Said when somebody calls.
);
const before = sessionStorage.getItem(CALL);
if (before) void start(before);
