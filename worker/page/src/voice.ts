/** How loud a track is, moment by moment. */

const WINDOW = 8192;
const FLOOR_DB = -54;
const CEILING_DB = -4;

export class Voice {
  private readonly analyser: AnalyserNode;
  private readonly source: MediaStreamAudioSourceNode;
  private readonly samples = new Float32Array(WINDOW);

  constructor(context: AudioContext, track: MediaStreamTrack) {
    this.analyser = new AnalyserNode(context, { fftSize: WINDOW });
    this.source = context.createMediaStreamSource(new MediaStream([track]));
    this.source.connect(this.analyser);
  }

  /** The last `count` stretches of `stretchS` seconds, oldest first: 0 silent, 1 loud. */
  levels(count: number, stretchS: number): number[] {
    this.analyser.getFloatTimeDomainData(this.samples);
    const length = Math.round(stretchS * this.analyser.context.sampleRate);
    return Array.from({ length: count }, (_, index) => {
      const end = WINDOW - (count - 1 - index) * length;
      return end < length ? 0 : loudness(this.samples.subarray(end - length, end));
    });
  }

  close(): void {
    this.source.disconnect();
  }
}

function loudness(samples: Float32Array): number {
  let power = 0;
  for (const sample of samples) power += sample * sample;
  const decibels = 10 * Math.log10(power / samples.length + 1e-12);
  return Math.min(1, Math.max(0, (decibels - FLOOR_DB) / (CEILING_DB - FLOOR_DB))) ** 1.8;
}
