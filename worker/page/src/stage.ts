/** The score in motion: listens to both voices and writes them down as long as a call lasts. */

import { Score, STROKE_S } from "./score";
import { Voice } from "./voice";

const GHOST_MS = 1600;
const SLOW_FRAME_MS = 500;

export class Stage {
  private readonly score: Score;
  private readonly stillness = matchMedia("(prefers-reduced-motion: reduce)");
  private readonly voices: { you?: Voice | undefined; model?: Voice | undefined } = {};
  private context: AudioContext | undefined;
  private beganAt = 0;
  private endedAt = 0;
  private running = false;

  constructor(
    canvas: HTMLCanvasElement,
    private readonly pen: HTMLElement,
    names: HTMLElement,
  ) {
    this.score = new Score(canvas, pen, names, () => this.redraw());
    // Ink is drawn, not styled: it has to be told.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.unroll(performance.now());
  }

  /** Seconds since the call began. */
  get timeS(): number {
    return ((this.running ? performance.now() : this.endedAt) - this.beganAt) / 1000;
  }

  /** From within a click: later, the browser would keep this silent. */
  async startListening(): Promise<void> {
    this.context ??= new AudioContext();
    await this.context.resume();
  }

  hear(whose: "you" | "model", track: MediaStreamTrack): void {
    this.voices[whose]?.close();
    if (this.context) this.voices[whose] = new Voice(this.context, track);
  }

  say(piece: string): void {
    this.score.say(piece, this.timeS);
  }

  /** A clean sheet for a call that begins now. */
  begin(): void {
    this.score.clear();
    this.beganAt = performance.now();
    this.running = true;
    this.frame();
  }

  /** Keeps the sheet as it is. */
  end(): void {
    if (this.running) this.endedAt = performance.now();
    this.running = false;
    this.voices.you?.close();
    this.voices.model?.close();
    this.voices.you = this.voices.model = undefined;
  }

  private frame(): void {
    if (!this.running) return;
    const time = this.timeS;
    const due = this.score.due(time);
    const you = this.voices.you?.levels(due, STROKE_S) ?? [];
    const model = this.voices.model?.levels(due, STROKE_S) ?? [];
    for (let index = 0; index < due; index++) this.score.write(you[index] ?? 0, model[index] ?? 0);
    if (due) this.pen.style.setProperty("--level", String(model.at(-1) ?? 0));
    this.score.draw(time);
    if (this.stillness.matches) window.setTimeout(() => this.frame(), SLOW_FRAME_MS);
    else requestAnimationFrame(() => this.frame());
  }

  private redraw(): void {
    if (this.running) return;
    if (this.beganAt) this.score.draw(this.timeS);
    else this.score.drawGhost(1);
  }

  private unroll(from: number): void {
    if (this.beganAt) return;
    const share = this.stillness.matches ? 1 : Math.min(1, Math.max(0, performance.now() - from) / GHOST_MS);
    this.score.drawGhost(1 - (1 - share) ** 3);
    if (share < 1) requestAnimationFrame(() => this.unroll(from));
  }
}
