// The engine in TypeScript: node examples/session.ts ws://127.0.0.1:8998 said.wav heard.wav
import { readFileSync, writeFileSync } from "node:fs";

const FRAME_BYTES = 2 * 1920; // 80 ms of 16-bit samples, mono, at 24 kHz
const HEADER_BYTES = 16; // of each answer: the number of its frame, times, flags
const WAV_HEADER_BYTES = 44;

const [url, said, heard] = process.argv.slice(2);
const wav = readFileSync(said);
const pcm = Buffer.concat([wav.subarray(WAV_HEADER_BYTES), Buffer.alloc(25 * FRAME_BYTES)]);
const frames = Math.floor(pcm.length / FRAME_BYTES);
const answers: Uint8Array[] = [];

const socket = new WebSocket(`${url}/v1/session?seed=1`);
socket.binaryType = "arraybuffer";
socket.onopen = () => {
  let next = 0;
  const speaking = setInterval(() => {
    socket.send(pcm.subarray(next * FRAME_BYTES, (next + 1) * FRAME_BYTES));
    if (++next === frames) clearInterval(speaking);
  }, 80);
};
socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
  if (typeof data !== "string") {
    answers.push(new Uint8Array(data, HEADER_BYTES));
    if (answers.length === frames) socket.send('{"type": "end"}');
  } else if (JSON.parse(data).type === "text") {
    process.stdout.write(JSON.parse(data).piece);
  }
};
socket.onclose = () => {
  const header = Buffer.from(wav.subarray(0, WAV_HEADER_BYTES));
  const sound = Buffer.concat(answers);
  header.writeUInt32LE(WAV_HEADER_BYTES - 8 + sound.length, 4);
  header.writeUInt32LE(sound.length, WAV_HEADER_BYTES - 4);
  writeFileSync(heard, Buffer.concat([header, sound]));
};
