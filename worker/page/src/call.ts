/**
 * One call, as any LiveKit client makes it: a microphone into the room; a voice, words, and attributes out of it.
 * The page loads this, and livekit-client with it, after it has been drawn.
 */

import {
  ConnectionError, ConnectionErrorReason, ConnectionState, createLocalAudioTrack, DisconnectReason, type LocalAudioTrack,
  type Participant, type RemoteTrack, Room, RoomEvent, Track, TrackEvent,
} from "livekit-client";

import type { Offer } from "./endpoint";
import { DROPPED, ELSEWHERE, ENDED, type Failure, MODEL_LEFT, NO_SERVER, NO_SOUND_PATH, NOBODY_CAME, nameOf, ofMicrophone } from "./failure";
import type { Path } from "./latency";

export type { LocalAudioTrack };

const TRANSCRIPTION = "lk.transcription";
const LATENCY = "moshi.latency";
const CHAT = "lk.chat";
const HANG_UP = "moshi.hang_up";
const GOODBYE_MS = 200;
const AGENT_ARRIVES_MS = 10_000;
const AGENT_RETURNS_MS = 15_000;
const PATH_EVERY_MS = 2_000;

/** What a call tells. */
export interface Listener {
  onVoice(track: MediaStreamTrack): void;
  onMicrophone(track: MediaStreamTrack): void;
  /** Somebody begins to say something; its pieces follow. */
  onWords(mine: boolean, pieces: AsyncIterable<string>): void;
  /** All attributes of the agent, whenever one changes. */
  onAttributes(attributes: Readonly<Record<string, string>>): void;
  /** How late the agent's answers are, every few seconds. */
  onLatency(told: string): void;
  onReconnecting(): void;
  onReconnected(): void;
  /** The browser plays no sound before somebody touches the page: `startSound` from there. */
  onSoundBlocked(blocked: boolean): void;
  onPath(path: Path): void;
  /** The call is over, and not because we hung up. */
  onEnd(why: Failure): void;
}

export interface Microphone {
  deviceId: string;
  echoCancellation: boolean;
}

/** Asks for the microphone; for any other one where the chosen one is gone. Throws Failure. */
export async function openMicrophone({ deviceId, echoCancellation }: Microphone): Promise<LocalAudioTrack> {
  const sound = { echoCancellation, noiseSuppression: true, autoGainControl: true };
  try {
    // Chromium takes its own default where a device is only preferred.
    if (deviceId) return await createLocalAudioTrack({ ...sound, deviceId: { exact: deviceId } });
  } catch (error) {
    if (!["OverconstrainedError", "NotFoundError"].includes(nameOf(error))) throw ofMicrophone(error);
  }
  try {
    return await createLocalAudioTrack(sound);
  } catch (error) {
    throw ofMicrophone(error);
  }
}

export class Call {
  // Closing the page hangs nothing up: it may be a reload, which comes back into the same call.
  private readonly room = new Room({ disconnectOnPageLeave: false });
  private readonly elements: HTMLMediaElement[] = [];
  private agentTimer = 0;
  private pathTimer = 0;
  private voice: RemoteTrack | undefined;
  private joined = false;
  private over = false;

  constructor(
    private readonly microphone: LocalAudioTrack,
    private readonly listener: Listener,
  ) {
    this.room
      .on(RoomEvent.TrackSubscribed, (track) => this.onTrack(track))
      .on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()))
      .on(RoomEvent.ParticipantConnected, (participant) => this.onAgent(participant))
      .on(RoomEvent.ParticipantActive, (participant) => this.onAgent(participant))
      .on(RoomEvent.ParticipantDisconnected, (participant) => {
        // While our own line is broken, everybody seems to leave.
        if (participant.isAgent && this.room.state === ConnectionState.Connected) this.expectAgent(AGENT_RETURNS_MS, MODEL_LEFT);
      })
      .on(RoomEvent.ParticipantAttributesChanged, (_changed, participant) => this.onAgent(participant))
      .on(RoomEvent.SignalReconnecting, () => this.onReconnecting())
      .on(RoomEvent.Reconnecting, () => this.onReconnecting())
      .on(RoomEvent.Reconnected, () => this.onReconnected())
      .on(RoomEvent.AudioPlaybackStatusChanged, () => listener.onSoundBlocked(!this.room.canPlaybackAudio))
      .on(RoomEvent.Disconnected, (reason) => {
        // Before that, `join` says why there is no call.
        if (this.joined) this.end(ofDisconnect(reason));
      });
    this.room.registerTextStreamHandler(TRANSCRIPTION, (reader, { identity }) =>
      listener.onWords(identity === this.room.localParticipant.identity, reader),
    );
    this.room.registerTextStreamHandler(LATENCY, (reader) => void reader.readAll().then(listener.onLatency, () => undefined));
    microphone.on(TrackEvent.Restarted, () => listener.onMicrophone(microphone.mediaStreamTrack));
  }

  /** Joins the room and speaks. Throws Failure. */
  async join(offer: Offer, speaker: string): Promise<void> {
    try {
      await this.room.connect(offer.url, offer.token);
      this.joined = true;
      await this.room.localParticipant.publishTrack(this.microphone, {
        source: Track.Source.Microphone,
        dtx: false,
        red: true,
      });
    } catch (error) {
      this.over = true;
      await this.room.disconnect();
      const reached = error instanceof ConnectionError && error.reason === ConnectionErrorReason.InternalError;
      throw reached ? NO_SOUND_PATH : NO_SERVER;
    }
    if (speaker) await this.setSpeaker(speaker);
    this.listener.onMicrophone(this.microphone.mediaStreamTrack);
    this.expectAgent(AGENT_ARRIVES_MS, NOBODY_CAME);
    for (const participant of this.room.remoteParticipants.values()) this.onAgent(participant);
    this.pathTimer = window.setInterval(() => void this.measurePath(), PATH_EVERY_MS);
  }

  async hangUp(): Promise<void> {
    this.over = true;
    this.stop();
    if (this.room.state === ConnectionState.Connected) {
      // Else the agent would wait for us, as for somebody whose network is gone.
      this.room.localParticipant.publishData(new Uint8Array(), { reliable: true, topic: HANG_UP }).catch(() => undefined);
      await new Promise((resolve) => window.setTimeout(resolve, GOODBYE_MS));
    }
    await this.room.disconnect();
  }

  async setMuted(muted: boolean): Promise<void> {
    await (muted ? this.microphone.mute() : this.microphone.unmute());
  }

  async setMicrophone(deviceId: string): Promise<void> {
    await this.room.switchActiveDevice("audioinput", deviceId || "default");
  }

  async setSpeaker(deviceId: string): Promise<void> {
    await this.room.switchActiveDevice("audiooutput", deviceId || "default").catch(() => undefined);
  }

  /** From within a click. */
  async startSound(): Promise<void> {
    await this.room.startAudio();
  }

  /** Only for a model that reads: attribute `moshi.text_input`. */
  async type(line: string): Promise<void> {
    await this.room.localParticipant.sendText(line, { topic: CHAT });
  }

  private onTrack(track: RemoteTrack): void {
    if (track.kind !== Track.Kind.Audio) return;
    this.voice = track;
    const element = track.attach();
    document.body.append(element);
    this.elements.push(element);
    this.listener.onVoice(track.mediaStreamTrack);
  }

  private onAgent(participant: Participant): void {
    if (!participant.isAgent || participant === this.room.localParticipant) return;
    window.clearTimeout(this.agentTimer);
    this.listener.onAttributes(participant.attributes);
  }

  private onReconnecting(): void {
    window.clearTimeout(this.agentTimer);
    this.listener.onReconnecting();
  }

  private onReconnected(): void {
    this.listener.onReconnected();
    const isThere = [...this.room.remoteParticipants.values()].some((participant) => participant.isAgent);
    if (!isThere) this.expectAgent(AGENT_RETURNS_MS, MODEL_LEFT);
  }

  private expectAgent(withinMs: number, otherwise: Failure): void {
    window.clearTimeout(this.agentTimer);
    this.agentTimer = window.setTimeout(() => {
      this.end(otherwise);
      void this.room.disconnect();
    }, withinMs);
  }

  private async measurePath(): Promise<void> {
    const path: Path = {};
    const sent = await this.microphone.getRTCStatsReport();
    sent?.forEach((stat: RTCStats & { currentRoundTripTime?: number; nominated?: boolean }) => {
      if (stat.type === "candidate-pair" && stat.nominated && stat.currentRoundTripTime !== undefined) {
        path.networkMs = stat.currentRoundTripTime * 1000;
      }
    });
    const received = await this.voice?.getRTCStatsReport();
    received?.forEach((stat: RTCStats & { jitterBufferDelay?: number; jitterBufferEmittedCount?: number }) => {
      if (stat.type === "inbound-rtp" && stat.jitterBufferEmittedCount) {
        path.bufferMs = ((stat.jitterBufferDelay ?? 0) / stat.jitterBufferEmittedCount) * 1000;
      }
    });
    if (!this.over) this.listener.onPath(path);
  }

  private end(why: Failure): void {
    if (this.over) return;
    this.over = true;
    this.stop();
    this.listener.onEnd(why);
  }

  private stop(): void {
    window.clearTimeout(this.agentTimer);
    window.clearInterval(this.pathTimer);
    for (const element of this.elements) element.remove();
  }
}

function ofDisconnect(reason: DisconnectReason | undefined): Failure {
  switch (reason) {
    case DisconnectReason.DUPLICATE_IDENTITY:
      return ELSEWHERE;
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
    case DisconnectReason.PARTICIPANT_REMOVED:
      return ENDED;
    default:
      return DROPPED;
  }
}
