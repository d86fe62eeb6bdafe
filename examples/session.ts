// The engine in TypeScript: node examples/session.ts ws://127.0.0.1:8998 said.wav heard.wav
import { readFileSync, writeFileSync } from "node:fs";

const [url, said, heard] = process.argv.slice(2);
const wav = readFileSync(said); // a header of 44 bytes, then 16 bits, mono, 24 kHz
const pcm = Buffer.concat([wav.subarray(44), Buffer.alloc(25 * 3840)]); // and two seconds of silence
const answers: Uint8Array[] = [];

const socket = new WebSocket(`${url}/v1/session?seed=1`);
socket.binaryType = "arraybuffer";
const frame = () => pcm.subarray(answers.length * 3840, (answers.length + 1) * 3840); // 80 ms
socket.onopen = () => socket.send(frame());
socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
  if (typeof data === "string") {
    process.stdout.write(JSON.parse(data).piece ?? "");
  } else {
    answers.push(new Uint8Array(data, 16)); // behind the number of its frame, times, flags
    // A microphone would send without waiting for the answer.
    setTimeout(() => socket.send(frame().length === 3840 ? frame() : '{"type": "end"}'), 80);
  }
};
socket.onclose = () => {
  const sound = Buffer.concat([wav.subarray(0, 44), ...answers]);
  sound.writeUInt32LE(sound.length - 8, 4);
  sound.writeUInt32LE(sound.length - 44, 40);
  writeFileSync(heard, sound);
};
