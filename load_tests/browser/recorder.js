// Both channels as int16, a tenth of a second at a time.

class Recorder extends AudioWorkletProcessor {
  #samples = [0, 1].map(() => new Int16Array(sampleRate / 10));
  #filled = 0;

  process([channels]) {
    const length = channels[0]?.length ?? 0;
    for (let at = 0; at < length; at++) {
      this.#samples.forEach((kept, number) => {
        const sample = Math.max(-1, Math.min(1, channels[number]?.[at] ?? 0));
        kept[this.#filled] = Math.round(sample * 32767);
      });
      if (++this.#filled === this.#samples[0].length) {
        this.port.postMessage(this.#samples.map((kept) => kept.slice()));
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
