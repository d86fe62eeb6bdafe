// A caller who is told what to do from outside: join, speak, statistics, leave.

const { Room, RoomEvent, ParticipantKind, Track } = LivekitClient;
const room = new Room();
const began = {};
const secondsSince = (start) => (performance.now() - start) / 1000;
let agentTrack;
let microphone;

const agentHeard = new Promise((resolve) => {
  room.on(RoomEvent.TrackSubscribed, (track, _publication, participant) => {
    if (track.kind === Track.Kind.Audio && participant.kind === ParticipantKind.AGENT && !agentTrack) {
      agentTrack = track;
      // Without an element Chromium does not decode what comes.
      document.body.append(track.attach());
      resolve();
    }
  });
});
const weAreHeard = new Promise((resolve) => room.on(RoomEvent.LocalTrackSubscribed, resolve));
room.on(RoomEvent.ParticipantDisconnected, (participant) => {
  if (participant.kind === ParticipantKind.AGENT) agentLeft();
});
room.on(RoomEvent.Disconnected, () => agentLeft());
const tellAttributes = () => {
  const agent = [...room.remoteParticipants.values()].find(({ kind }) => kind === ParticipantKind.AGENT);
  if (agent) agentAttributes(agent.attributes);
};
room.on(RoomEvent.ParticipantConnected, tellAttributes).on(RoomEvent.ParticipantAttributesChanged, tellAttributes);

room.registerTextStreamHandler("moshi.latency", async (reader) => {
  agentLatency(JSON.parse(await reader.readAll()));
});

/** Enter the room with a microphone that gives silence. */
async function join(url, token) {
  began.at = performance.now();
  await room.connect(url, token);
  const silence = new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0];
  const publication = await room.localParticipant.publishTrack(silence, { source: Track.Source.Microphone });
  microphone = publication.track;
  tellAttributes();
}

/** Seconds since `join` until both sides were heard, and until the agent's first packet. */
async function answered() {
  await agentHeard;
  const first = (async () => {
    while (!(await inbound())?.packetsReceived) await new Promise((resolve) => setTimeout(resolve, 20));
    return secondsSince(began.at);
  })();
  await weAreHeard;
  const joined = secondsSince(began.at);
  return { joined, first: await first };
}

/** Open the real microphone in place of the silence; what it gives and what is heard go to `recorded`. */
async function speak(rate) {
  const context = new AudioContext({ sampleRate: rate });
  // Chromium asks for the module itself past whoever answers for this page.
  const module = await (await fetch("recorder.js")).blob();
  await context.audioWorklet.addModule(URL.createObjectURL(module));
  const recorder = new AudioWorkletNode(context, "recorder", { channelCount: 2, numberOfOutputs: 0 });
  recorder.port.onmessage = ({ data }) => recorded(data.map(toBase64));
  const merger = context.createChannelMerger(2);
  const heard = new MediaStream([agentTrack.mediaStreamTrack]);
  context.createMediaStreamSource(heard).connect(merger, 0, 1);
  merger.connect(recorder);
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const opened = await navigator.mediaDevices.getUserMedia({ audio });
  context.createMediaStreamSource(opened).connect(merger, 0, 0);
  await microphone.replaceTrack(opened.getAudioTracks()[0]);
}

function toBase64(samples) {
  return btoa(String.fromCharCode(...new Uint8Array(samples.buffer)));
}

async function inbound() {
  const report = await agentTrack.getRTCStatsReport();
  return [...report.values()].find(({ type }) => type === "inbound-rtp");
}

/** What WebRTC counted for the agent's track. */
async function statistics() {
  const report = [...(await agentTrack.getRTCStatsReport()).values()];
  const pair = report.find(({ type, nominated }) => type === "candidate-pair" && nominated);
  return { inbound: await inbound(), roundTrip: pair?.currentRoundTripTime ?? null };
}

const leave = () => room.disconnect();
