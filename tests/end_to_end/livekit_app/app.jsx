/**
 * What LiveKit's agents playground and starter apps are made of, and nothing else: their components and hooks, at the
 * version that both of them pin. Address and token of a room come behind the `#`.
 */

import {
  BarVisualizer, RoomAudioRenderer, SessionProvider, useAgent, useSession, useSessionMessages, useTextStream,
  useTranscriptions, useVoiceAssistant,
} from "@livekit/components-react";
import { TokenSource } from "livekit-client";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const { url, token } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const source = TokenSource.literal({ serverUrl: url, participantToken: token });

function App() {
  const session = useSession(source);
  return (
    <SessionProvider session={session}>
      <button onClick={() => session.start()}>Start call</button>
      <button onClick={() => session.end()}>End call</button>
      <RoomAudioRenderer />
      <Agent />
      <Words />
      <Latencies />
    </SessionProvider>
  );
}

function Agent() {
  const agent = useAgent();
  const assistant = useVoiceAssistant();
  return (
    <>
      <List name="States" items={useAllSoFar(agent.state)} />
      <List name="States of old" items={useAllSoFar(assistant.state)} />
      <List name="Failures" items={agent.failureReasons ?? []} />
      {agent.microphoneTrack && <BarVisualizer state={agent.state} track={agent.microphoneTrack} />}
    </>
  );
}

function Words() {
  const { messages } = useSessionMessages();
  const transcriptions = useTranscriptions();
  return (
    <>
      <List name="Messages" items={messages.map(({ type, message }) => `${type}: ${message}`)} />
      <List name="Transcriptions" items={transcriptions.map(({ text }) => text)} />
    </>
  );
}

function Latencies() {
  const { textStreams } = useTextStream("moshi.latency");
  return <List name="Latencies" items={textStreams.map(({ text }) => text)} />;
}

function useAllSoFar(value) {
  const [values, setValues] = useState([]);
  useEffect(() => setValues((before) => [...before, value]), [value]);
  return values;
}

function List({ name, items }) {
  return (
    <>
      <h2>{name}</h2>
      <ul aria-label={name}>{items.map((item, index) => <li key={index}>{item}</li>)}</ul>
    </>
  );
}

createRoot(document.getElementById("root")).render(<App />);
