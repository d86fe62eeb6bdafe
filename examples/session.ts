// The engine in TypeScript: node examples/session.ts ws://127.0.0.1:8998 said.wav heard.wav
import { readFileSync, writeFileSync } from "node:fs";

const [url, said, heard] = process.argv.slice(2);
// A header of 44 bytes, 16 bits, mono, 24 kHz, and two seconds of silence. Answers replace what was said.
const sound = Buffer.concat([readFileSync(said), Buffer.alloc(25 * 3840)]);
const end = sound.length - ((sound.length - 44) % 3840); // frames of 80 ms
let at = 44;
const socket = new WebSocket(`${url}/v1/session?seed=1`);
socket.binaryType = "arraybuffer";
const speak = () => socket.send(at < end ? sound.subarray(at, at + 3840) : '{"type": "end"}');
socket.onopen = speak;
socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
  if (typeof data === "string") return void process.stdout.write(JSON.parse(data).piece ?? "");
  sound.set(new Uint8Array(data, 16), at); // behind the number of its frame, times, flags
  at += 3840;
  setTimeout(speak, 80); // a microphone would send without waiting for the answer
};
for (const field of [4, 40]) sound.writeUInt32LE(end - field - 4, field); // the bytes that follow it
socket.onclose = () => writeFileSync(heard, sound.subarray(0, end));
